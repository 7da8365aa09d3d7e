-- Keep a text. ARGV: name, text, ms.
local ms = tonumber(ARGV[5])
if ms < 1 then
  redis.call('DEL', prefix .. 'kept:' .. ARGV[3])
else
  redis.call('SET', prefix .. 'kept:' .. ARGV[3], string.format('%.0f ', mono + ms) .. ARGV[4], 'PX', ARGV[5])
end
return 0
