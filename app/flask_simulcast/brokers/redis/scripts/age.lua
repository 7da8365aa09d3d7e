-- Shorten tail and tags by age. ARGV: ms and n up to which to trim the tail, ms and n up to which to trim the tags, largest
-- number of groups. Returns whether there is more.
local tail_ms, tail_n = tonumber(ARGV[3]), tonumber(ARGV[4])
local head_ms, head_n = head()
if is_before(head_ms, head_n, tail_ms, tail_n) then
  tail_ms, tail_n = head_ms, head_n -- the log lost its last events; nothing beyond its head was dropped
end
if is_before(drop_ms, drop_n, tail_ms, tail_n) then
  drop_ms, drop_n = tail_ms, tail_n
  drop_tail()
end
local up_to_ms, up_to_n = tonumber(ARGV[5]), tonumber(ARGV[6])
local newest = redis.call('XREVRANGE', TAGS, '+', '-', 'COUNT', 1)[1][1]
local most = tonumber(ARGV[7])
local gone, floor_ms, floor_n, tag = 0
for _, group in ipairs(redis.call('XRANGE', TAGS, '-', id_of(up_to_ms, up_to_n), 'COUNT', most)) do
  local ms, n = parse(group[1])
  ms, n = following(ms, n, tonumber(group[2][2]))
  if group[1] == newest or is_before(up_to_ms, up_to_n, following(ms, n, -1)) then
    break
  end
  gone, floor_ms, floor_n, tag = gone + 1, ms, n, group[2][1]
end
if gone > 0 then
  redis.call('XTRIM', TAGS, 'MINID', id_of(floor_ms, floor_n))
  redis.call('HSET', LOG, 'floor', id_of(floor_ms, floor_n), 'below', id_of(following(floor_ms, floor_n, -1)) .. '-' .. tag)
end
return gone == most and 1 or 0
