-- Begin a run, or join it. ARGV: id, user, meta, worker, ms of the lease. Returns whether it is new, and its facts.
local id, user, meta, worker = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local is_new = redis.call('EXISTS', run_of(id)) == 0
if is_new then
  local ms, n, tag = head()
  local begin = id_of(ms, n) .. '-' .. tag
  redis.call(
    'HSET', run_of(id), 'user', user, 'meta', meta, 'worker', worker, 'started', string.format('%.0f', wall), 'begin', begin,
    'events', 0, 'ending', '', 'end', ''
  )
  redis.call('ZADD', RUNS, 0, id)
  if user ~= '' then
    redis.call('ZADD', prefix .. 'runs-of:' .. user, 0, id)
  end
  redis.call('ZADD', RUNS_OPEN, mono + ARGV[7], id)
end
return {is_new and 1 or 0, facts_of(id)}
