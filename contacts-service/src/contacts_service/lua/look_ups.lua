#!lua
-- How many numbers count on a budget, and when that was. KEYS[1] as in budget.lua; both are nil before the first.
return redis.call("HMGET", KEYS[1], "spent", "at")
