#!lua
-- Charge one call to several limits by GCRA, the generic cell rate algorithm: to all of them, or to none.
-- There may be a second lane of limits, which is charged, all or none, if the first lane refuses.
-- The time is the server's, so that the clock of a client cannot refill a limit early.
--
-- KEYS[i]            when limit i is full again, in microseconds of the server's clock; absent: it is full
-- ARGV[2i - 1]       how many calls limit i allows at once
-- ARGV[2i]           in how many seconds that many are refilled
-- ARGV[2 #KEYS + 1]  how many of the limits are the first lane; the rest is the second one
--
-- Returns {lane, 0}: every limit of this lane allowed the call and was charged.
-- Otherwise nothing was charged, and it returns {0, seconds}: until a lane allows the call.

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]
local full_at = {}

local function refused_for(first, last)
    local longest = 0
    for i = first, last do
        local period = ARGV[2 * i] * 1000000
        local interval = math.floor(period / ARGV[2 * i - 1])
        local from = math.max(tonumber(redis.call("GET", KEYS[i]) or now), now)
        full_at[i] = from + interval
        longest = math.max(longest, full_at[i] - now - period)
    end
    return longest
end

local size = tonumber(ARGV[2 * #KEYS + 1])
local lanes = { { 1, size } }
if size < #KEYS then
    lanes[2] = { size + 1, #KEYS }
end

local shortest
for lane, limits in ipairs(lanes) do
    local early = refused_for(limits[1], limits[2])
    if early <= 0 then
        for i = limits[1], limits[2] do
            redis.call("SET", KEYS[i], string.format("%.0f", full_at[i]), "PX", math.ceil((full_at[i] - now) / 1000))
        end
        return { lane, 0 }
    end
    shortest = math.min(shortest or early, early)
end
return { 0, math.ceil(shortest / 1000000) }
