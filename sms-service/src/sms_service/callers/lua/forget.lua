#!lua
-- Forget GCRA limits (see charge.lua): they are full again.
--
-- KEYS[i]   when limit i is full again

return redis.call("DEL", unpack(KEYS))
