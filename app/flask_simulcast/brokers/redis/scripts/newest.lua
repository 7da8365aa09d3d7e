-- Where a replay of the newest events begins. ARGV: how many, then channels. Answers the position before it ('' where there is
-- nothing to replay), the head, the common marks, and for each channel its mark.
local wanted = tonumber(ARGV[3])
local head_ms, head_n, head_tag = head()
local newest_position = id_of(head_ms, head_n) .. '-' .. head_tag
local facts = redis.call('HMGET', LOG, 'forgotten', 'forgotten_personal', 'floor')
local marks, sources, seen = {}, {}, {}

local function retreat(source)
  source.at = source.at + 1
  if source.at > #source.rows and source.more then
    source.rows = redis.call('XREVRANGE', source.name, source.last, '-', 'COUNT', source.step)
    source.at, source.more, source.step = 1, #source.rows == source.step, 64
  end
  local row = source.rows[source.at]
  if row then
    source.last = '(' .. row[1]
    source.ms, source.n = parse(row[1])
  end
  return row
end

for i = 4, #ARGV do
  local channel = ARGV[i]
  marks[#marks + 1] = redis.call('HGET', MARKS, channel)
  if not seen[channel] then
    seen[channel] = true
    local source = {name = history_of(channel), rows = {}, at = 0, more = true, step = math.min(wanted, 16), last = '+'}
    if wanted > 0 and retreat(source) then
      sources[#sources + 1] = source
    end
  end
end

local ms, n
for _ = 1, wanted do
  if #sources == 0 then
    break
  end
  local newest = 1
  for i = 2, #sources do
    if is_before(sources[newest].ms, sources[newest].n, sources[i].ms, sources[i].n) then
      newest = i
    end
  end
  ms, n = sources[newest].ms, sources[newest].n
  if not retreat(sources[newest]) then
    table.remove(sources, newest)
  end
end
if not ms then
  return {'', newest_position, facts[1], facts[2], marks}
end
local before
local first_ms, first_n, tag, count = group_at(id_of(ms, n))
if first_ms and is_before(first_ms, first_n, ms, n) then
  local before_ms, before_n = following(ms, n, -1)
  before = id_of(before_ms, before_n) .. '-' .. tag
else
  first_ms, first_n, tag, count = group_at('(' .. id_of(ms, n))
  if first_ms then
    local last_ms, last_n = following(first_ms, first_n, count - 1)
    before = id_of(last_ms, last_n) .. '-' .. tag
  else
    -- What is below the floor is known by its place alone.
    local floor_ms, floor_n = parse(facts[3])
    floor_ms, floor_n = following(floor_ms, floor_n, -1)
    before = id_of(floor_ms, floor_n) .. '-00000000'
  end
end
return {before, newest_position, facts[1], facts[2], marks}
