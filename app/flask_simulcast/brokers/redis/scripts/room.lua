-- Remove the oldest events of all channels while there are too many bytes. ARGV: ms and n above which nothing is removed, the
-- bytes that may stay, largest number of events. Returns whether there is more.
local ceiling_ms, ceiling_n = tonumber(ARGV[3]), tonumber(ARGV[4])
local allowed, left = tonumber(ARGV[5]), tonumber(ARGV[6])
local gone = 0
while left > 0 and bytes_left > 0 do
  local surplus = tonumber(redis.call('HGET', LOG, 'bytes')) - allowed
  local oldest = redis.call('ZRANGE', OLDEST, 0, 1, 'WITHSCORES')
  if surplus <= 0 or #oldest == 0 then
    break
  end
  local others = tonumber(oldest[4])
  local taken = take(oldest[1], left, function(before, bytes, ms, n)
    local is_next = before == 0 or not others or score_of(ms, n) <= others
    return is_next and bytes < surplus and not is_before(ceiling_ms, ceiling_n, ms, n)
  end)
  if taken == 0 then
    break
  end
  gone = gone + taken
  left = left - taken
end
if gone > 0 then
  drop_tail()
end
return (left <= 0 or bytes_left <= 0) and 1 or 0
