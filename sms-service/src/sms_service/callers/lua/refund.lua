-- Give back one charge of a GCRA limit (see callers.lua).
--
-- KEYS[1]   when the limit will be whole again, in microseconds of the server's clock; absent: it is whole
-- ARGV[1]   how many the limit allows at once
-- ARGV[2]   in how many seconds that many are refilled

local whole_at = tonumber(redis.call("GET", KEYS[1]) or 0)
local clock = redis.call("TIME")
local left = whole_at - math.floor(ARGV[2] * 1000000 / ARGV[1]) - (clock[1] * 1000000 + clock[2])
if left <= 0 then
    redis.call("DEL", KEYS[1])
else
    redis.call("SET", KEYS[1], string.format("%.0f", whole_at - math.floor(ARGV[2] * 1000000 / ARGV[1])),
        "PX", math.ceil(left / 1000))
end
return 0
