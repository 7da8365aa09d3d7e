-- Look what there is to maintain, and take the maintenance lease. ARGV: worker, ms of the lease. Returns whether the worker has
-- the lease now, the id of the head, the bytes of all histories, whether places have ended, how many channels have grown.
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
local has_ended = 0
for _, key in ipairs({prefix .. 'workers', prefix .. 'ending'}) do
  if redis.call('ZCOUNT', key, '-inf', mono) > 0 or redis.call('ZCOUNT', key, '(' .. string.format('%.0f', mono + LEASE_MS), '+inf') > 0 then
    has_ended = 1
  end
end
return {is_ours, id_of(ms, n), tonumber(redis.call('HGET', LOG, 'bytes')), has_ended, redis.call('SCARD', GROWN)}
