-- The copy is built: its sets take the place of the old ones, and it has an epoch again.
-- token; epoch, seq, hash, time; format; the server's start; states…
if redis.call('HGET', base .. ':meta', 'rebuild') ~= take() then
  return 'TOKEN'
end
local epoch, seq, hash, now, format, run = take(), take(), take(), take(), take(), take()
while at < #ARGV do
  local state = take()
  if redis.call('EXISTS', base .. ':building:' .. state) == 1 then
    redis.call('RENAME', base .. ':building:' .. state, base .. ':state:' .. state)
  else
    redis.call('UNLINK', base .. ':state:' .. state)
  end
end
redis.call('HDEL', base .. ':meta', 'rebuild')
redis.call('HSET', base .. ':meta', 'epoch', epoch, 'seq', seq, 'hash', hash, 'at', now, 'format', format,
  'server', run)
redis.pcall('PUBLISH', base .. ':changes', '{"seq":' .. seq .. ',"kind":"rebuilt"}')
return 'OK'
