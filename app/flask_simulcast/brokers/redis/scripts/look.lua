-- Look what there is to maintain, and take the maintenance lease. ARGV: worker, ms of the lease, ms before which a run that has
-- ended is forgotten. Returns whether the worker has the lease now, the id of the head, the bytes of all histories, whether
-- places have ended, how many channels have grown, whether there are runs to sweep.
local name = prefix .. 'lease:simulcast:upkeep'
local is_ours = 0
local lease = redis.call('GET', name)
local ends, holder
if lease then
  ends, holder = string.match(lease, '^(%d+) (.*)$')
  ends = tonumber(ends)
end
if not lease or holder == ARGV[3] or ends <= mono or ends > mono + LEASE_MS then
  is_ours = 1
  redis.call('DEL', name) -- this frees memory first, so that a server without free memory accepts the lease: maintenance then makes room
  redis.call('SET', name, string.format('%.0f ', mono + ARGV[4]) .. ARGV[3], 'PX', LEASE_MS)
end
local ms, n = head()
local function is_over(key)
  local never = '(' .. string.format('%.0f', mono + LEASE_MS)
  return redis.call('ZCOUNT', key, '-inf', mono) > 0 or redis.call('ZCOUNT', key, never, '+inf') > 0
end
local has_ended = is_over(prefix .. 'workers') or is_over(prefix .. 'ending')
local has_runs = is_over(RUNS_OPEN) or redis.call('ZCOUNT', RUNS_ENDED, '-inf', '(' .. ARGV[5]) > 0
return {
  is_ours, id_of(ms, n), tonumber(redis.call('HGET', LOG, 'bytes')), has_ended and 1 or 0, redis.call('SCARD', GROWN),
  has_runs and 1 or 0,
}
