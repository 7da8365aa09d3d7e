-- Remember a revocation, and append its event. ARGV: tag, name, before, ms to remember it, channel, type, data. Returns the
-- event's id. If the name has a revocation already, the later of both times and of both ends are kept.
local name = prefix .. 'revoked:' .. ARGV[4]
local before, ends = tonumber(ARGV[5]), wall + ARGV[6]
local found = redis.call('GET', name)
if found then
  local other_before, other_ends = string.match(found, '^(%d+) (%d+)$')
  before, ends = math.max(before, other_before), math.max(ends, other_ends)
end
if ends > wall then
  redis.call('SET', name, string.format('%.0f %.0f', before, ends), 'PX', string.format('%.0f', ends - wall))
end
return append({ARGV[7], ARGV[8], ARGV[9]}, ARGV[3])
