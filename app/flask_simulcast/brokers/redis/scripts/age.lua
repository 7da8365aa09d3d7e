-- Shorten tail and tags by age. ARGV: ms and n up to which the tail goes, ms and n up to which the tags go, how many groups at
-- most. Answers how many groups of the tags went.
local tail_ms, tail_n = tonumber(ARGV[3]), tonumber(ARGV[4])
if is_before(drop_ms, drop_n, tail_ms, tail_n) then
  drop_ms, drop_n = tail_ms, tail_n
  drop_tail()
end
local up_to_ms, up_to_n = tonumber(ARGV[5]), tonumber(ARGV[6])
local newest = redis.call('XREVRANGE', TAGS, '+', '-', 'COUNT', 1)[1][1]
local gone, floor_ms, floor_n = 0
for _, group in ipairs(redis.call('XRANGE', TAGS, '-', id_of(up_to_ms, up_to_n), 'COUNT', tonumber(ARGV[7]))) do
  local ms, n = parse(group[1])
  ms, n = following(ms, n, tonumber(group[2][2]))
  if group[1] == newest or is_before(up_to_ms, up_to_n, following(ms, n, -1)) then
    break
  end
  gone, floor_ms, floor_n = gone + 1, ms, n
end
if gone > 0 then
  redis.call('XTRIM', TAGS, 'MINID', id_of(floor_ms, floor_n))
  redis.call('HSET', LOG, 'floor', id_of(floor_ms, floor_n))
end
return gone
