-- Return a page of history, from one snapshot. ARGV: ms and n of its beginning, ms and n of its end, largest bytes of data,
-- largest number of events, then channels. Returns the common marks, for each channel its mark, whether the page was cut, and the
-- rows one after the other: channel, id, tag and type, data.
local most, most_events, channels = tonumber(ARGV[7]), tonumber(ARGV[8]), arguments_from(9)
local commons, marks = redis.call('HMGET', LOG, 'forgotten', 'forgotten_personal'), marks_of(channels)
local rows, count, bytes = {}, 0, 0
for channel, row in merge('XRANGE', '(' .. ARGV[3] .. '-' .. ARGV[4], ARGV[5] .. '-' .. ARGV[6], channels) do
  bytes = bytes + #row[2][2]
  if count > 0 and (bytes > most or count == 4 * most_events) then
    return {commons, marks, 1, rows}
  end
  rows[count + 1], rows[count + 2], rows[count + 3], rows[count + 4] = channel, row[1], row[2][1], row[2][2]
  count = count + 4
end
return {commons, marks, 0, rows}
