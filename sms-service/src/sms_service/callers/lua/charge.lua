#!lua
-- Charge one call to several limits by GCRA, the generic cell rate algorithm: to all of them, or to none.
-- The time is the server's, so that the clock of a client cannot refill a limit early.
--
-- KEYS[i]        when limit i is full again, in microseconds of the server's clock; absent: it is full
-- ARGV[2i - 1]   how many calls limit i allows at once
-- ARGV[2i]       in how many seconds that many are refilled
--
-- Returns {0, 0} when every limit allowed the call and was charged.
-- Otherwise nothing was charged, and it returns {i, seconds}: the limit that refuses longest, and for how long.

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]

local refusing, longest = 0, 0
local full_at = {}
for i, key in ipairs(KEYS) do
    local period = ARGV[2 * i] * 1000000
    local interval = math.floor(period / ARGV[2 * i - 1])
    local from = math.max(tonumber(redis.call("GET", key) or now), now)
    full_at[i] = from + interval
    local early = full_at[i] - now - period
    if early > longest then
        refusing, longest = i, early
    end
end

if refusing > 0 then
    return { refusing, math.ceil(longest / 1000000) }
end

for i, key in ipairs(KEYS) do
    redis.call("SET", key, string.format("%.0f", full_at[i]), "PX", math.ceil((full_at[i] - now) / 1000))
end
return { 0, 0 }
