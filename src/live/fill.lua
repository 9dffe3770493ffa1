-- Rows and entries of a copy that is being built.
-- token; the stream's length; rows; entries
if redis.call('HGET', base .. ':meta', 'rebuild') ~= take() then
  return 'TOKEN'
end
local limit = take()
for _ = 1, tonumber(take()) do
  put(base .. ':building:')
end
for _ = 1, tonumber(take()) do
  entry(limit)
end
return 'OK'
