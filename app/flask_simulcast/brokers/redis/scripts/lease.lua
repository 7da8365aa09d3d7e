-- Hold a lease. ARGV: name, holder, ms. Returns whether the holder has it now.
local name = prefix .. 'lease:' .. ARGV[3]
local lease = redis.call('GET', name)
if lease then
  local ends, holder = string.match(lease, '^(%d+) (.*)$')
  ends = tonumber(ends)
  if holder ~= ARGV[4] and mono < ends and ends <= mono + LEASE_MS then
    return 0
  end
end
redis.call('SET', name, string.format('%.0f ', mono + ARGV[5]) .. ARGV[4], 'PX', LEASE_MS)
return 1
