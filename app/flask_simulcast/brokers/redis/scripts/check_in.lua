-- Check a worker in. ARGV: tag, worker, whether it renews, ms of its lease, ms of the grace, number of new places, listener and
-- place of each, then listeners that are gone. Returns whether the check-in was accepted.
local tag, worker, grace = ARGV[3], ARGV[4], mono + ARGV[7]
if ARGV[5] == '1' then
  if not has_lease(worker) then
    return 0
  end
else
  end_worker(worker, mono)
end
redis.call('ZADD', WORKERS, mono + ARGV[6], worker)
local last = 8 + 2 * ARGV[8]
local events, coming, removed, joining = {}, {}, {}, {}
for i = 9, last, 2 do
  local fields = cjson.decode(ARGV[i + 1])
  coming[#coming + 1] = {
    listener = ARGV[i], member = fields[3], present_on = fields[3] ~= '' and fields[5] or {}, meta = fields[6],
    since = fields[9], quoted = fields[10],
  }
end
for _, presence in ipairs(presences_of(coming)) do
  if is_absent(presence) then
    joining[#joining + 1] = presence
  end
end
for i = 9, last, 2 do
  removed[#removed + 1] = remove(ARGV[i])
end
for i = 9, last, 2 do
  put(ARGV[i], ARGV[i + 1])
end
tell_left(events, removed)
for _, presence in ipairs(joining) do
  tell(events, 'join', presence)
end
for i = last + 1, #ARGV do
  local place = place_of(ARGV[i])
  if place and place.worker == worker and not redis.call('ZSCORE', ENDING, ARGV[i]) then
    end_at(ARGV[i], grace)
  end
end
append(events, tag)
return 1
