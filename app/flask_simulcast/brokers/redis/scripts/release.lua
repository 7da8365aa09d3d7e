-- Give a lease back. ARGV: name, holder.
local name = prefix .. 'lease:' .. ARGV[3]
local lease = redis.call('GET', name)
if lease and string.match(lease, '^%d+ (.*)$') == ARGV[4] then
  redis.call('DEL', name)
end
return 0
