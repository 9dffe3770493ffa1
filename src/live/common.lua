-- Read before each of the other scripts. Nobody reads while one runs. One that fails leaves
-- what it has written: then the copy is built anew.
--
-- A row is its number, its score, its state, how many strings follow, and those strings:
-- names and values in turn. An entry is its number, its hint, and the same.
local base = KEYS[1]
local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local function fields()
  local count = tonumber(take())
  local from = at + 1
  at = at + count
  return from, at
end
local function put(zset)
  local id, score, state = take(), take(), take()
  local key = base .. ':task:' .. id
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(ARGV, fields()))
  redis.call('ZADD', zset .. state, score, id)
  return id, state
end
local function entry(limit)
  local seq, hint = take(), take()
  redis.call('XADD', base .. ':events', 'MAXLEN', '~', limit, seq .. '-0', unpack(ARGV, fields()))
  return hint
end
