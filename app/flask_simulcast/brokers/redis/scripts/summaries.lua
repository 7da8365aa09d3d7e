-- Sum up channels, in the order of their names. ARGV: where to start, largest number, prefix. Returns the name to go on
-- after ('' at the end), then name, number of events, ms of the first and of the last, number of places, ...
local MOST_BYTES = 1048576
local most, wanted = tonumber(ARGV[4]), ARGV[5]
local answer, bytes, last_looked_at = {''}, 0, nil
local names = redis.call('ZRANGEBYLEX', NAMES, ARGV[3], '+', 'LIMIT', 0, most)
for _, channel in ipairs(names) do
  if string.sub(channel, 1, #wanted) ~= wanted then
    return answer
  end
  last_looked_at = channel
  local name = history_of(channel)
  local count, places = redis.call('XLEN', name), redis.call('ZCARD', places_on(channel))
  -- A worker of an older version leaves the names of empty channels behind.
  if count + places > 0 and channel ~= 'simulcast:control' then
    local first_ms, last_ms = 0, 0
    local last = redis.call('XREVRANGE', name, '+', '-', 'COUNT', 1)[1]
    if last then
      first_ms, last_ms = ms_of(redis.call('ZSCORE', OLDEST, channel)), parse(last[1])
      bytes = bytes + #last[2][2]
    end
    for _, value in ipairs({channel, count, first_ms, last_ms, places}) do
      answer[#answer + 1] = value
    end
  end
  if bytes >= MOST_BYTES then
    break
  end
end
if #names == most or bytes >= MOST_BYTES then
  answer[1] = last_looked_at
end
return answer
