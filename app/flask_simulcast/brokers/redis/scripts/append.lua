-- Store events, all or none, but for those whose idempotency key is known. ARGV: tag, then channel, type, data, key of each.
-- Answers the id of the first new one; then, for each that is not new, its place in the batch and its position.
local tag = ARGV[3]
local events, answer, keyed = {}, {''}, {}
for i = 4, #ARGV, 4 do
  local key = ARGV[i + 3]
  local known
  if key ~= '' then
    known = keyed[key]
    if not known then
      local text = redis.call('GET', prefix .. 'known:' .. key)
      if text then
        local position, ends = string.match(text, '^(%S+) (%S+)$')
        if tonumber(ends) > mono then
          known = position
        end
      end
    end
  end
  if known then
    answer[#answer + 1] = (i - 4) / 4
    answer[#answer + 1] = known
  else
    if key ~= '' then
      keyed[key] = '+' .. #events / 3 -- the so-manieth of the new ones
    end
    events[#events + 1] = ARGV[i]
    events[#events + 1] = ARGV[i + 1]
    events[#events + 1] = ARGV[i + 2]
  end
end
if #events == 0 then
  return answer
end
answer[1] = append(events, tag)
local ms, n = parse(answer[1])
for key, place in pairs(keyed) do
  local its_ms, its_n = following(ms, n, tonumber(place))
  local value = id_of(its_ms, its_n) .. '-' .. tag .. ' ' .. string.format('%.0f', mono + KNOWN_MS)
  redis.call('SET', prefix .. 'known:' .. key, value, 'PX', KNOWN_MS)
end
return answer
