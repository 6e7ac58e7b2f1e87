#!lua
-- Charge one call to the budgets of a user's number: one call, and each number that is new. Change nothing else.
--
-- The numbers that were looked up are known by fingerprints of whole bytes, in two generations: "seen" and, once that
-- is full, the one before it, "older". A generation is 256 sections in MessagePack: the first byte of a fingerprint is
-- the section, which holds the other bytes.
--
-- KEYS[1]   hash: full_at (when the limit on calls is full again), spent and at (numbers spent, and when), generations
-- ARGV[1]   numbers allowed at once      ARGV[2]   the most that idle time saves up
-- ARGV[3]   numbers more an hour         ARGV[4]   calls a minute; 0: any
-- ARGV[5]   numbers in a generation      ARGV[6]   seconds after which an unused budget is deleted
-- ARGV[7]   bits of a fingerprint        ARGV[8]   the fingerprints of the call
-- Returns {new numbers, left, 0}; {-1, left, seconds} if the numbers do not suffice; {-2, 0, seconds} if the calls do not.
local allowed, most, hourly = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local calls, generation, unused = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local bits, asked = tonumber(ARGV[7]), ARGV[8]
local width = math.ceil(bits / 8)
local rest_width = width - 1
local byte, sub, find = string.byte, string.sub, string.find

local seen_field, older_field = "seen" .. bits, "older" .. bits
local stored = redis.call("HMGET", KEYS[1], "full_at", "spent", "at", seen_field, older_field)
local clock = redis.call("TIME")
local now = clock[1] + clock[2] / 1000000

local function expire(spent)
    local refilled = math.ceil(math.max(0, spent) * 3600 / hourly)
    redis.call("EXPIRE", KEYS[1], math.max(unused, refilled))
end

local spent = 0
if stored[3] then
    spent = math.max(allowed - most, stored[2] - (now - stored[3]) * hourly / 3600)
end

if calls > 0 then -- GCRA, see charge.lua of sms-service
    local full_at = math.max(tonumber(stored[1] or now), now) + 60 / calls
    if full_at > now + 60 then
        return { -2, 0, math.ceil(full_at - now - 60) }
    end
    redis.call("HSET", KEYS[1], "full_at", string.format("%.6f", full_at))
end

local function opened(packed)
    if packed then return cmsgpack.unpack(packed) end
    local sections = {}
    for index = 1, 256 do sections[index] = "" end
    return sections
end

local function contains(section, rest)
    local at = find(section, rest, 1, true)
    while at and (at - 1) % rest_width > 0 do at = find(section, rest, at + 1, true) end
    return at
end

local seen, older, new = opened(stored[4]), opened(stored[5]), 0
for at = 1, #asked, width do
    local index, rest = byte(asked, at) + 1, sub(asked, at + 1, at + rest_width)
    local section = seen[index]
    if not contains(section, rest) and not contains(older[index], rest) then
        seen[index] = section .. rest
        new = new + 1
    end
end
if new == 0 then
    expire(spent)
    return { 0, math.max(0, math.floor(allowed - spent)), 0 }
end

local left = allowed - spent
if new > left then -- a refused call costs one number, if one is left
    left = left - math.min(1, math.max(0, left))
    redis.call("HSET", KEYS[1], "spent", allowed - left, "at", now)
    expire(allowed - left)
    return { -1, math.max(0, math.floor(left)), math.floor((new - left) * 3600 / hourly) + 1 }
end

local bytes = 0
for index = 1, 256 do bytes = bytes + #seen[index] end
if bytes > generation * rest_width then
    redis.call("HSET", KEYS[1], older_field, cmsgpack.pack(seen))
    redis.call("HDEL", KEYS[1], seen_field)
else
    redis.call("HSET", KEYS[1], seen_field, cmsgpack.pack(seen))
end
redis.call("HSET", KEYS[1], "spent", spent + new, "at", now)
expire(spent + new)
return { new, math.floor(left - new), 0 }
