#!lua
-- Refund one charge of each of several GCRA limits (see charge.lua).
--
-- KEYS[i]        when limit i is full again, in microseconds of the server's clock; absent: it is full
-- ARGV[2i - 1]   how many calls limit i allows at once
-- ARGV[2i]       in how many seconds that many are refilled

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]
for i, key in ipairs(KEYS) do
    local full_at = tonumber(redis.call("GET", key) or 0)
    local interval = math.floor(ARGV[2 * i] * 1000000 / ARGV[2 * i - 1])
    local left = full_at - interval - now
    if left <= 0 then
        redis.call("DEL", key)
    else
        redis.call("SET", key, string.format("%.0f", full_at - interval), "PX", math.ceil(left / 1000))
    end
end
return 0
