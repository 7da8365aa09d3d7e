-- Bring channels within their bounds. ARGV: ms and n above which nothing goes, how many events at most, then channel, how many
-- it keeps, and the ms before which its events are too old. Answers how many went.
local ceiling_ms, ceiling_n = tonumber(ARGV[3]), tonumber(ARGV[4])
local left = tonumber(ARGV[5])
local gone = 0
for i = 6, #ARGV, 3 do
  local channel, keep, oldest = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local surplus = redis.call('XLEN', history_of(channel)) - keep
  local taken = 0
  if left > 0 then
    taken = take(channel, left, function(before, _, ms, n)
      return (before < surplus or ms < oldest) and not is_before(ceiling_ms, ceiling_n, ms, n)
    end)
  end
  if surplus <= taken then
    redis.call('SREM', GROWN, channel)
  end
  gone = gone + taken
  left = left - taken
end
if gone > 0 then
  drop_tail()
end
return gone
