-- What has happened after a place in the history, if the copy is at that place.
-- epoch, seq, hash; seq, hash, time afterwards; the stream's length; rows; entries
local epoch, seq, hash = take(), take(), take()
local known = redis.call('HMGET', base .. ':meta', 'epoch', 'seq', 'hash')
if known[1] ~= epoch then
  return 'EPOCH'
end
if known[2] ~= seq or known[3] ~= hash then
  return 'GAP'
end
local new_seq, new_hash, now, limit = take(), take(), take(), take()
if new_seq ~= seq then
  -- First, for a server without memory refuses only the first command that writes.
  redis.call('HSET', base .. ':meta', 'at', now)
end
for _ = 1, tonumber(take()) do
  -- An error if somebody else has put something of another kind there.
  local old = redis.pcall('HGET', base .. ':task:' .. ARGV[at + 1], 'state')
  local id, state = put(base .. ':state:')
  if type(old) == 'string' and old ~= state then
    redis.call('ZREM', base .. ':state:' .. old, id)
  end
end
local hints = {}
for i = 1, tonumber(take()) do
  hints[i] = entry(limit)
end
if new_seq ~= seq then
  redis.call('HSET', base .. ':meta', 'seq', new_seq, 'hash', new_hash)
end
for _, hint in ipairs(hints) do
  -- Whoever may not publish still has the copy.
  redis.pcall('PUBLISH', base .. ':changes', hint)
end
return 'OK'
