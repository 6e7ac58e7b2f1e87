#!lua
-- Refund one charge of a GCRA limit (see charge.lua).
--
-- KEYS[1]   when the limit is full again, in microseconds of the server's clock; absent: it is full
-- ARGV[1]   how many calls the limit allows at once
-- ARGV[2]   in how many seconds that many are refilled

local full_at = tonumber(redis.call("GET", KEYS[1]) or 0)
local clock = redis.call("TIME")
local interval = math.floor(ARGV[2] * 1000000 / ARGV[1])
local left = full_at - interval - (clock[1] * 1000000 + clock[2])
if left <= 0 then
    redis.call("DEL", KEYS[1])
else
    redis.call("SET", KEYS[1], string.format("%.0f", full_at - interval), "PX", math.ceil(left / 1000))
end
return 0
