-- Rows and entries of a copy that is being built.
-- token; the stream's length; rows; entries
local token = take()
if redis.call('HGET', base .. ':meta', 'rebuild') ~= token then
  return 'TOKEN'
end
-- First, for a server without memory refuses only the first command that writes.
redis.call('HSET', base .. ':meta', 'rebuild', token)
local limit = take()
for _ = 1, tonumber(take()) do
  put(base .. ':building:')
end
for _ = 1, tonumber(take()) do
  entry(limit)
end
return 'OK'
