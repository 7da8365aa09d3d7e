-- Read the events after a position. ARGV: its ms, n, tag. Returns whether trimming has passed it, and groups of the tail, from
-- the group of the position on.
local ms, n, tag = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local head_ms, head_n = head()
local kept = redis.call('HMGET', LOG, 'birth', 'dropped', 'below')
local birth_ms, birth_n = parse(kept[1])
local dropped_ms, dropped_n = parse(kept[2])
local passed = is_before(ms, n, birth_ms, birth_n) or is_before(head_ms, head_n, ms, n) or is_before(ms, n, dropped_ms, dropped_n)
local start = '(' .. ARGV[3] .. '-' .. ARGV[4]
local first_ms, first_n, its_tag, count = group_at(ARGV[3] .. '-' .. ARGV[4])
if first_ms then
  local last_ms, last_n = following(first_ms, first_n, count - 1)
  if is_before(last_ms, last_n, ms, n) or its_tag ~= tag then
    passed = true
  end
  if is_before(ms, n, last_ms, last_n) then
    start = id_of(first_ms, first_n)
  end
elseif kept[3] ~= ARGV[3] .. '-' .. ARGV[4] .. '-' .. tag then
  passed = true -- the tags no longer show whether it is a position of this log
end
local groups, events, bytes, step = {}, 0, 0, 1
while events < 1024 and bytes < 1048576 do
  local found = redis.call('XRANGE', TAIL, start, '+', 'COUNT', step)
  for _, group in ipairs(found) do
    local fields = group[2]
    groups[#groups + 1] = group
    events = events + #fields / 2 - 1
    for i = 4, #fields, 2 do
      bytes = bytes + #fields[i]
    end
    start = '(' .. group[1]
  end
  if #found < step then
    break
  end
  step = math.max(1, math.min(64, math.floor(131072 * #groups / (bytes + EVENT_BYTES * events))))
end
return {passed and 1 or 0, groups}
