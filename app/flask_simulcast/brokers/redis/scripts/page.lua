-- A page of history, in one snapshot. ARGV: ms and n of where it begins, ms and n of where it ends, most bytes of data, then
-- channels. Answers the common marks, for each channel its mark, whether it was cut, and the rows one after the other: channel, id, tag and type, data.
local last = ARGV[5] .. '-' .. ARGV[6]
local most = tonumber(ARGV[7])
local commons = redis.call('HMGET', LOG, 'forgotten', 'forgotten_personal')
local marks, sources = {}, {}

local function advance(source)
  source.at = source.at + 1
  if source.at > #source.rows and source.more then
    source.rows = redis.call('XRANGE', source.name, '(' .. source.last, last, 'COUNT', source.step)
    source.at, source.more, source.step = 1, #source.rows == source.step, 64
  end
  local row = source.rows[source.at]
  if row then
    source.last = row[1]
    source.ms, source.n = parse(row[1])
  end
  return row
end

local from = ARGV[3] .. '-' .. ARGV[4]
local seen = {}
for i = 8, #ARGV do
  local channel = ARGV[i]
  marks[#marks + 1] = redis.call('HGET', MARKS, channel)
  if not seen[channel] then
    seen[channel] = true
    local source = {name = history_of(channel), channel = i - 8, rows = {}, at = 0, more = true, step = 16, last = from}
    if advance(source) then
      sources[#sources + 1] = source
    end
  end
end

local rows, count, bytes = {}, 0, 0
while #sources > 0 do
  local first = 1
  for i = 2, #sources do
    if is_before(sources[i].ms, sources[i].n, sources[first].ms, sources[first].n) then
      first = i
    end
  end
  local source = sources[first]
  local row = source.rows[source.at]
  bytes = bytes + #row[2][2]
  if count > 0 and bytes > most then
    return {commons, marks, 1, rows}
  end
  rows[count + 1], rows[count + 2], rows[count + 3], rows[count + 4] = source.channel, row[1], row[2][1], row[2][2]
  count = count + 4
  if not advance(source) then
    table.remove(sources, first)
  end
end
return {commons, marks, 0, rows}
