-- Remove events. Scripts that trim load this first. Commands that free memory come first, because a full server refuses others.

local bytes_left = 1048576 -- bytes that one script reads and frees
local AHEAD_BYTES, AHEAD_ROWS = 65536, 50
local drop_ms, drop_n = parse(redis.call('HGET', LOG, 'dropped'))

-- Remove up to `most` of a channel's oldest events while `may_go` allows it. Returns how many were removed.
local function take(channel, most, may_go)
  local name = history_of(channel)
  local taken, bytes, start = 0, 0, '-'
  local mark, next_id, score
  local step = 1 -- every channel might have large events
  while not score and taken < most and bytes < bytes_left do
    local rows = redis.call('XRANGE', name, start, '+', 'COUNT', step)
    for _, row in ipairs(rows) do
      local ms, n = parse(row[1])
      if taken >= most or bytes >= bytes_left or not may_go(taken, bytes, ms, n) then
        score = score_of(ms, n)
        break
      end
      taken = taken + 1
      bytes = bytes + #row[2][2] + EVENT_BYTES
      mark = row[1] .. '-' .. string.sub(row[2][1], 1, 8)
      next_id = id_of(following(ms, n, 1))
      start = '(' .. row[1]
    end
    if #rows < step then
      break
    end
    step = math.min(AHEAD_ROWS, most - taken, math.ceil(AHEAD_BYTES * taken / math.max(bytes, 1)))
  end
  if taken == 0 then
    return 0
  end
  redis.call('XTRIM', name, 'MINID', next_id)
  local first = redis.call('XRANGE', name, '-', '+', 'COUNT', 1)[1]
  if first then
    redis.call('ZADD', OLDEST, score_of(parse(first[1])), channel)
  else
    redis.call('DEL', name)
    redis.call('ZREM', OLDEST, channel)
    forget_name(channel)
  end
  redis.call('HSET', MARKS, channel, mark)
  redis.call('HINCRBY', LOG, 'bytes', -bytes)
  bytes_left = bytes_left - bytes
  local ms, n = parse(mark)
  if is_before(drop_ms, drop_n, ms, n) then
    drop_ms, drop_n = ms, n
  end
  return taken
end

-- Trim the tail up to the last dropped event, group by group.
local function drop_tail()
  local first_ms, first_n, _, count = group_at(id_of(drop_ms, drop_n))
  local ms, n = following(drop_ms, drop_n, 1)
  if first_ms then
    local last_ms, last_n = following(first_ms, first_n, count - 1)
    if is_before(drop_ms, drop_n, last_ms, last_n) then
      ms, n = first_ms, first_n
    end
  end
  redis.call('XTRIM', TAIL, 'MINID', id_of(ms, n))
  redis.call('HSET', LOG, 'dropped', id_of(drop_ms, drop_n))
end
