-- Remove places that have ended, and append the leave events. ARGV: tag, largest number of places. Returns whether there is more.
local most = tonumber(ARGV[4])
local never = '(' .. string.format('%.0f', mono + LEASE_MS)
local over, removed, events = {}, {}, {}
local function add(listeners)
  for _, listener in ipairs(listeners) do
    over[#over + 1] = listener
  end
end
add(redis.call('ZRANGEBYSCORE', ENDING, '-inf', mono, 'LIMIT', 0, most))
add(redis.call('ZRANGEBYSCORE', ENDING, never, '+inf', 'LIMIT', 0, most))
for _, range in ipairs({{'-inf', mono}, {never, '+inf'}}) do
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, range[1], range[2], 'LIMIT', 0, most)) do
    local room = most - #over
    if room <= 0 then
      break
    end
    local its = redis.call('SRANDMEMBER', prefix .. 'of:' .. worker, room)
    add(its)
    if #its < room then
      redis.call('ZREM', WORKERS, worker)
    end
  end
end
for _, listener in ipairs(over) do
  removed[#removed + 1] = remove(listener)
end
tell_left(events, removed)
append(events, ARGV[3])
return #over >= most and 1 or 0
