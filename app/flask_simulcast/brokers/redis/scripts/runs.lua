-- The runs. Scripts that use them load this first.
--
-- run:<id>      HASH  user, meta, worker, started, begin, events, ending, end
-- runs          ZSET  ids, in their order; runs-of:<user> the same of one user
-- runs-open     ZSET  ids of runs that have not ended, by the end of their lease
-- runs-ended    ZSET  ids of the others, by the time they ended

local RUNS, RUNS_OPEN, RUNS_ENDED = prefix .. 'runs', prefix .. 'runs-open', prefix .. 'runs-ended'

local function run_of(id)
  return prefix .. 'run:' .. id
end

local function facts_of(id)
  return redis.call('HMGET', run_of(id), 'user', 'meta', 'worker', 'started', 'begin', 'events', 'ending', 'end')
end

-- Append events {channel, type, data, ...} to a run that has not ended. `events_now` is empty if they are not the producer's.
local function append_to_run(id, events, tag, events_now, ending)
  local ms, n = parse(append(events, tag))
  ms, n = following(ms, n, #events / 3 - 1)
  local name = run_of(id)
  if events_now ~= '' then
    redis.call('HSET', name, 'events', events_now)
  end
  if ending ~= '' then
    redis.call('HSET', name, 'ending', ending, 'end', id_of(ms, n) .. '-' .. tag)
    redis.call('ZREM', RUNS_OPEN, id)
    redis.call('ZADD', RUNS_ENDED, ms, id)
  end
end
