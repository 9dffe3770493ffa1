-- Removes those of these keys that are no task's of the copy that is being built.
-- token; keys…
if redis.call('HGET', base .. ':meta', 'rebuild') ~= take() then
  return 'TOKEN'
end
local prefix = #(base .. ':task:')
while at < #ARGV do
  local key = take()
  local state = redis.call('TYPE', key)['ok'] == 'hash' and redis.call('HGET', key, 'state')
  if not state or not redis.call('ZSCORE', base .. ':building:' .. state, string.sub(key, prefix + 1)) then
    redis.call('UNLINK', key)
  end
end
return 'OK'
