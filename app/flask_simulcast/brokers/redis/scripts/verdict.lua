-- Return the facts of a verdict, from one snapshot. ARGV: ms and n of a position, then channels. Returns the head, the birth,
-- the common marks, the tag of the position in this log ('' if the log has no such position, false below the tags), and for
-- each channel its mark.
local ms, n = tonumber(ARGV[3]), tonumber(ARGV[4])
local facts = redis.call('HMGET', LOG, 'ms', 'n', 'tag', 'birth', 'forgotten', 'forgotten_personal', 'floor')
local floor_ms, floor_n = parse(facts[7])
local tag = ''
local first_ms, first_n, its_tag, count = group_at(ARGV[3] .. '-' .. ARGV[4])
if first_ms then
  local last_ms, last_n = following(first_ms, first_n, count - 1)
  if not is_before(last_ms, last_n, ms, n) then
    tag = its_tag
  end
elseif is_before(ms, n, floor_ms, floor_n) then
  tag = false
end
local marks = {}
for i = 5, #ARGV do
  marks[#marks + 1] = redis.call('HGET', MARKS, ARGV[i])
end
return {facts[1] .. '-' .. facts[2] .. '-' .. facts[3], facts[4], facts[5], facts[6], tag, marks}
