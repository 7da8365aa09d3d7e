-- Store the events whose idempotency key is not known yet: all events of a caller or none. ARGV: tag, then for each caller the
-- number of its events, and channel, type, data, key of each. A key is empty, or a fingerprint of 32 characters (or '-'), a
-- space, and the key. Returns the id of the first new event; then, for each event that is not new, its index among all and its
-- position; for a caller whose key is known with another fingerprint, the index of its first event and '!'.
local tag = ARGV[3]
local events, answer, given = {}, {''}, {}

-- Return the position of a key's event, or '+n' for the n-th new event; and its fingerprint.
local function find(key)
  local found = given[key]
  if found then
    return found[1], found[2]
  end
  local text = redis.call('GET', prefix .. 'known:' .. key)
  if text then
    local position, ends, fingerprint = string.match(text, '^(%S+) (%S+) ?(%S*)$')
    if tonumber(ends) > mono then
      return position, fingerprint == '' and '-' or fingerprint -- an older version wrote none
    end
  end
end

local at, place = 4, 0
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local first, events_before, answer_before, its_keys = place, #events, #answer, {}
  for i = at + 1, at + count * 4, 4 do
    local fingerprint, key, known, other
    if ARGV[i + 3] ~= '' then
      fingerprint, key = string.match(ARGV[i + 3], '^(%S+) (.*)$')
      known, other = find(key)
    end
    if known and other ~= fingerprint and other ~= '-' and fingerprint ~= '-' then
      for j = #events, events_before + 1, -1 do
        events[j] = nil
      end
      for j = #answer, answer_before + 1, -1 do
        answer[j] = nil
      end
      for _, its_key in ipairs(its_keys) do
        given[its_key] = nil
      end
      answer[#answer + 1] = first
      answer[#answer + 1] = '!'
      break
    elseif known then
      answer[#answer + 1] = place
      answer[#answer + 1] = known
    else
      if key then
        given[key] = {'+' .. #events / 3, fingerprint}
        its_keys[#its_keys + 1] = key
      end
      events[#events + 1] = ARGV[i]
      events[#events + 1] = ARGV[i + 1]
      events[#events + 1] = ARGV[i + 2]
    end
    place = place + 1
  end
  at, place = at + 1 + count * 4, first + count
end
if #events == 0 then
  return answer
end
answer[1] = append(events, tag)
local ms, n = parse(answer[1])
for key, its in pairs(given) do
  local its_ms, its_n = following(ms, n, tonumber(its[1]))
  local value = id_of(its_ms, its_n) .. '-' .. tag .. ' ' .. string.format('%.0f', mono + KNOWN_MS) .. ' ' .. its[2]
  redis.call('SET', prefix .. 'known:' .. key, value, 'PX', KNOWN_MS)
end
return answer
