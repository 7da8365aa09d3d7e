-- Return the latest time that was revoked for any of these names; 0 if there is none. ARGV: names.
local latest = 0
for i = 3, #ARGV do
  local found = redis.call('GET', prefix .. 'revoked:' .. ARGV[i])
  if found then
    local before, ends = string.match(found, '^(%d+) (%d+)$')
    if tonumber(ends) > wall then
      latest = math.max(latest, before)
    end
  end
end
return string.format('%.0f', latest)
