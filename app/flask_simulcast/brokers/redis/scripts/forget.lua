-- Fold old marks of channels without events into their common mark. ARGV: cursor, the ms before which a mark is old. Returns
-- the next cursor.
local old = tonumber(ARGV[4])
local found = redis.call('HSCAN', MARKS, ARGV[3], 'COUNT', 200)
for i = 1, #found[2], 2 do
  local channel, mark = found[2][i], found[2][i + 1]
  local ms, n = parse(mark)
  if ms < old and channel ~= 'all' and redis.call('EXISTS', history_of(channel)) == 0 then
    local is_personal = string.find(channel, '^user:') or string.find(channel, '^listener:')
    local common = is_personal and 'forgotten_personal' or 'forgotten'
    local common_ms, common_n = parse(redis.call('HGET', LOG, common))
    redis.call('HDEL', MARKS, channel)
    if is_before(common_ms, common_n, ms, n) then
      redis.call('HSET', LOG, common, mark)
    end
  end
end
return found[1]
