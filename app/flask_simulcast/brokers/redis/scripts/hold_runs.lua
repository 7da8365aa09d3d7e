-- Renew a worker's lease on runs. ARGV: worker, ms, ids of the runs. Returns the ids of those that are its own and have not ended.
local held = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local known = redis.call('HMGET', run_of(id), 'worker', 'ending')
  if known[1] == ARGV[3] and known[2] == '' then
    redis.call('ZADD', RUNS_OPEN, mono + ARGV[4], id)
    held[#held + 1] = id
  end
end
return held
