-- Renew the lease on a worker's runs. ARGV: worker, ms. Returns the ids of those that have not ended.
local ids = redis.call('SMEMBERS', prefix .. 'runs-by:' .. ARGV[3])
for _, id in ipairs(ids) do
  redis.call('ZADD', RUNS_OPEN, 'XX', mono + ARGV[4], id)
end
return ids
