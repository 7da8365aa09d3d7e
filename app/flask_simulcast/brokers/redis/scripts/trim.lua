-- Trim channels to their bounds. ARGV: ms and n above which nothing is removed, largest number of events, then channel, number
-- of events to keep, and the ms before which its events are too old. Returns whether there is more.
local ceiling_ms, ceiling_n = tonumber(ARGV[3]), tonumber(ARGV[4])
local most = tonumber(ARGV[5])
local gone = 0
for i = 6, #ARGV, 3 do
  local channel, keep, oldest = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local surplus = redis.call('XLEN', history_of(channel)) - keep
  local first = redis.call('ZSCORE', OLDEST, channel)
  local first_ms = first and ms_of(first)
  local taken = 0
  if first and (surplus > 0 or first_ms < oldest) and first_ms <= ceiling_ms and gone < most and bytes_left > 0 then
    taken = take(channel, most - gone, function(before, _, ms, n)
      return (before < surplus or ms < oldest) and not is_before(ceiling_ms, ceiling_n, ms, n)
    end)
  end
  if surplus <= taken then
    redis.call('SREM', GROWN, channel)
  end
  gone = gone + taken
end
if gone > 0 then
  drop_tail()
end
return (gone >= most or bytes_left <= 0) and 1 or 0
