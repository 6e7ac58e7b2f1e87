-- Count the numbers that are new for a user if the budget covers all of them. Otherwise change nothing.
-- KEYS[1] numbers seen (HyperLogLog)   KEYS[2] time of first use (Unix seconds)   KEYS[3] trial copy of KEYS[1]
-- ARGV[1] budget   ARGV[2] growth per hour since first use   ARGV[3] seconds until an unused budget expires
-- ARGV[4] references of the numbers, 8 bytes each
-- Returns {new numbers, left, 0}, or {-1, left, seconds until the budget covers the call}.
local budget, hourly, life, refs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = tonumber(redis.call("TIME")[1])
local since = tonumber(redis.call("GET", KEYS[2]) or now)
redis.call("SET", KEYS[2], since, "EX", life)

local allowed = budget + math.floor((now - since) * hourly / 3600)
local before = redis.call("PFCOUNT", KEYS[1])

redis.call("DEL", KEYS[3])
redis.call("COPY", KEYS[1], KEYS[3])
redis.call("PFADD", KEYS[3])
redis.call("EXPIRE", KEYS[3], life)
local chunk = 8 * 1000 -- unpack() puts the values on Lua's stack, which holds 8,000
for start = 1, #refs, chunk do
  local part = {}
  for offset = start, math.min(start + chunk, #refs + 1) - 1, 8 do
    part[#part + 1] = string.sub(refs, offset, offset + 7)
  end
  redis.call("PFADD", KEYS[3], unpack(part))
end
local after = redis.call("PFCOUNT", KEYS[3])

if after > allowed and after > before then
  redis.call("DEL", KEYS[3])
  local wait = math.ceil((after - budget) * 3600 / hourly) - (now - since)
  return {-1, math.max(0, allowed - before), math.max(1, wait)}
end
redis.call("RENAME", KEYS[3], KEYS[1])
return {after - before, math.max(0, allowed - after), 0}
