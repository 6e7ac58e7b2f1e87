-- Decide several limits at once by GCRA, the generic cell rate algorithm: all of them are charged, or none is.
-- The time is the server's own, so that no caller's clock refills a limit early.
--
-- KEYS[i]        when limit i will be whole again, in microseconds of the server's clock; absent: it is whole
-- ARGV[2i - 1]   how many limit i allows at once
-- ARGV[2i]       in how many seconds that many are refilled
--
-- Returns {0, 0} when every limit allowed and was charged;
-- else {i, seconds}: the limit that refuses longest, and in how many seconds it will allow one. Nothing was charged.

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]

local refusing, longest = 0, 0
local whole_at = {}
for i, key in ipairs(KEYS) do
    local period = ARGV[2 * i] * 1000000
    local interval = math.floor(period / ARGV[2 * i - 1])
    local from = math.max(tonumber(redis.call("GET", key) or now), now)
    whole_at[i] = from + interval
    local early = whole_at[i] - now - period
    if early > longest then
        refusing, longest = i, early
    end
end

if refusing > 0 then
    return { refusing, math.ceil(longest / 1000000) }
end

for i, key in ipairs(KEYS) do
    redis.call("SET", key, string.format("%.0f", whole_at[i]), "PX", math.ceil((whole_at[i] - now) / 1000))
end
return { 0, 0 }
