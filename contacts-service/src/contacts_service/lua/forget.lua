#!lua
-- Forget which numbers were looked up, and keep how many. KEYS[1] as in budget.lua.
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
    if string.match(field, "^seen") or string.match(field, "^older") then
        redis.call("HDEL", KEYS[1], field)
    end
end
return 0
