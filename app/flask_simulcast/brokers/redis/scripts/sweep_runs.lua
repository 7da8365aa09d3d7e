-- End the runs that were lost, and forget those that ended before a time. ARGV: tag, largest number, that time in ms, prefix of
-- channels, then ending and data of the last event of a lost run. Returns whether there is more.
local tag, most = ARGV[3], tonumber(ARGV[4])
local swept = 0
for _, range in ipairs({{'-inf', mono}, {'(' .. string.format('%.0f', mono + LEASE_MS), '+inf'}}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', RUNS_OPEN, range[1], range[2], 'LIMIT', 0, most - swept)) do
    append_to_run(id, {ARGV[6] .. id, ARGV[7], ARGV[8]}, tag, '', ARGV[7])
    swept = swept + 1
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', RUNS_ENDED, '-inf', '(' .. ARGV[5], 'LIMIT', 0, most - swept)) do
  local user = redis.call('HGET', run_of(id), 'user')
  redis.call('DEL', run_of(id))
  redis.call('ZREM', RUNS, id)
  redis.call('ZREM', RUNS_ENDED, id)
  redis.call('ZREM', prefix .. 'runs-of:' .. user, id)
  swept = swept + 1
end
return swept >= most and 1 or 0
