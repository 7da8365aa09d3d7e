-- What all scripts share: names of keys, the clocks, positions, and how events get into the log.
--
-- KEYS[1]           prefix of all keys; it has a hash tag, so that a cluster keeps them together
-- ARGV[1], ARGV[2]  wall and monotonic clock in ms; empty for the server's clock, which all workers share
-- ARGV[3...]        arguments of the script
--
-- log     HASH    ms, n, tag: the last position given out · birth · floor: where the tags begin · below: the last position
--                 before that · dropped: up to where the tail is no longer whole · bytes: of all histories · forgotten,
--                 forgotten_personal: the common marks
-- tail    STREAM  one entry per group of events that were stored together; every worker reads it. Its id is the position of
--                 the first event; {position before it, tag, channel LF type, data, channel LF type, data, ...}
-- tags    STREAM  the same groups as {tag, how many}, for much longer
-- c:<channel>     STREAM  history: {tag and type, data}
-- marks   HASH    channel: the highest position that was trimmed
-- grown   SET     channels that might have more events than they should
-- oldest  ZSET    channels by their oldest event
-- names   ZSET    channels that have a history or a place, in their order

local prefix = KEYS[1]
local wall, mono = tonumber(ARGV[1]), tonumber(ARGV[2])
if not wall then
  local time = redis.call('TIME')
  wall = time[1] * 1000 + math.floor(time[2] / 1000)
  mono = wall
end

local COUNTERS = 1048576
-- Bounds of a group. unpack takes 8000 values at most, and readers read whole groups.
local GROUP, GROUP_BYTES = 1000, 131072
local EVENT_BYTES = 64
local KNOWN_MS = 300000
local LEASE_MS = 60000

local LOG, TAIL, TAGS, MARKS = prefix .. 'log', prefix .. 'tail', prefix .. 'tags', prefix .. 'marks'
local GROWN, OLDEST, NAMES = prefix .. 'grown', prefix .. 'oldest', prefix .. 'names'

local function history_of(channel)
  return prefix .. 'c:' .. channel
end

local function places_on(channel)
  return prefix .. 'on:' .. channel
end

-- Forget the name of a channel that has neither a history nor a place.
local function forget_name(channel)
  if redis.call('EXISTS', history_of(channel), places_on(channel)) == 0 then
    redis.call('ZREM', NAMES, channel)
  end
end

local function parse(text)
  local ms, n = string.match(text, '^(%d+)-(%d+)')
  return tonumber(ms), tonumber(n)
end

local function is_before(ms, n, other_ms, other_n)
  return ms < other_ms or (ms == other_ms and n < other_n)
end

local function following(ms, n, steps)
  n = n + steps
  if n >= COUNTERS then
    return ms + 1, n - COUNTERS
  elseif n < 0 then
    return ms - 1, n + COUNTERS
  end
  return ms, n
end

local function id_of(ms, n)
  return string.format('%.0f-%.0f', ms, n)
end

local function score_of(ms, n)
  return ms * 2048 + math.min(n, 2047)
end

local function ms_of(score)
  return math.floor(score / 2048)
end

local function head()
  local head = redis.call('HMGET', LOG, 'ms', 'n', 'tag')
  return tonumber(head[1]), tonumber(head[2]), head[3]
end

-- Return the group of a position, or the last group before it: first position, tag, number of events.
local function group_at(id)
  local found = redis.call('XREVRANGE', TAGS, id, '-', 'COUNT', 1)[1]
  if found then
    local ms, n = parse(found[1])
    return ms, n, found[2][1], tonumber(found[2][2])
  end
end

-- Store events from..to of {channel, type, data, ...} as one group. Returns the position of the first.
local function append_group(events, from, to, tag)
  local ms, n, last_tag = head()
  local before = id_of(ms, n) .. '-' .. last_tag
  if wall > ms then
    ms, n = wall, 0
  else
    ms, n = following(ms, n, 1)
  end
  local first_ms, first_n = ms, n
  local entry, channels, bytes = {before, tag}, {}, 0
  for i = from, to, 3 do
    local channel, type, data = events[i], events[i + 1], events[i + 2]
    if i > from then
      ms, n = following(ms, n, 1)
    end
    entry[#entry + 1] = channel .. '\n' .. type
    entry[#entry + 1] = data
    bytes = bytes + #data + EVENT_BYTES
    redis.call('XADD', history_of(channel), id_of(ms, n), tag .. type, data)
    if not channels[channel] then
      channels[channel] = true
      redis.call('SADD', GROWN, channel)
      if redis.call('ZADD', OLDEST, 'NX', score_of(ms, n), channel) == 1 then
        redis.call('ZADD', NAMES, 0, channel)
      end
    end
  end
  redis.call('XADD', TAIL, id_of(first_ms, first_n), unpack(entry))
  redis.call('XADD', TAGS, id_of(first_ms, first_n), tag, (to - from + 1) / 3)
  redis.call('HSET', LOG, 'ms', ms, 'n', n, 'tag', tag)
  redis.call('HINCRBY', LOG, 'bytes', bytes)
  return first_ms, first_n
end

-- Store {channel, type, data, ...}. Returns the id of the first; the others follow it without a gap.
local function append(events, tag)
  local first, from, bytes = '', 1, 0
  for i = 1, #events, 3 do
    bytes = bytes + #events[i + 2]
    if i + 3 > #events or i + 3 - from >= GROUP * 3 or bytes >= GROUP_BYTES then
      local ms, n = append_group(events, from, i + 2, tag)
      if from == 1 then
        first = id_of(ms, n)
      end
      from, bytes = i + 3, 0
    end
  end
  return first
end
