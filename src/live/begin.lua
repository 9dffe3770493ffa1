-- Begins to build the copy anew: from here until it is finished it has no epoch.
-- token; states…
local token = take()
if redis.call('TYPE', base .. ':meta')['ok'] ~= 'hash' then
  redis.call('UNLINK', base .. ':meta')
end
redis.call('HDEL', base .. ':meta', 'epoch', 'seq', 'hash')
redis.call('HSET', base .. ':meta', 'rebuild', token)
redis.call('UNLINK', base .. ':events')
while at < #ARGV do
  redis.call('UNLINK', base .. ':building:' .. take())
end
return 'OK'
