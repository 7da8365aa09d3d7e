-- Return a kept text. ARGV: name, and whether to delete it.
local name = prefix .. 'kept:' .. ARGV[3]
local found = redis.call('GET', name)
if not found then
  return false
end
if ARGV[4] == '1' then
  redis.call('DEL', name)
end
local space = string.find(found, ' ', 1, true)
if tonumber(string.sub(found, 1, space - 1)) <= mono then
  return false
end
return string.sub(found, space + 1)
