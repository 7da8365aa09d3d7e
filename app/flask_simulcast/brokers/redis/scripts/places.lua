-- The register. Scripts that use it load this first.
--
-- places   HASH  listener: JSON [worker, user, member, channels, present_on, meta, token_id, encoding, since_ms, member as JSON]
-- ids      ZSET  listeners, in their order; of-user:<user>, on:<channel> the same of one user or channel
-- workers  ZSET  workers by the end of their lease; of:<worker> SET of a worker's listeners
-- ending   ZSET  listeners in their grace, by its end
-- members:<channel>      ZSET  members that are present, in their order
-- as:<channel> <member>  ZSET  listeners that make a member present, by the time they came

local PLACES, IDS, WORKERS, ENDING = prefix .. 'places', prefix .. 'ids', prefix .. 'workers', prefix .. 'ending'

local function listeners_as(channel, member)
  return prefix .. 'as:' .. channel .. ' ' .. member
end

local function has_lease(worker)
  local ends = tonumber(redis.call('ZSCORE', WORKERS, worker) or 0)
  return mono < ends and ends <= mono + LEASE_MS
end

local function place_of(listener)
  local text = redis.call('HGET', PLACES, listener)
  if not text then
    return nil
  end
  local fields = cjson.decode(text)
  return {
    listener = listener, text = text, worker = fields[1], user = fields[2], member = fields[3], channels = fields[4],
    present_on = fields[3] ~= '' and fields[5] or {}, meta = fields[6], since = fields[9], quoted = fields[10],
  }
end

local function is_connected(place)
  return not redis.call('ZSCORE', ENDING, place.listener) and has_lease(place.worker)
end

local function end_at(listener, ends)
  redis.call('ZADD', ENDING, 'LT', ends, listener)
end

local function put(listener, text)
  redis.call('HSET', PLACES, listener, text)
  local place = place_of(listener)
  redis.call('ZADD', IDS, 0, listener)
  redis.call('SADD', prefix .. 'of:' .. place.worker, listener)
  if place.user ~= '' then
    redis.call('ZADD', prefix .. 'of-user:' .. place.user, 0, listener)
  end
  for _, channel in ipairs(place.channels) do
    redis.call('ZADD', places_on(channel), 0, listener)
    redis.call('ZADD', NAMES, 0, channel)
  end
  for _, channel in ipairs(place.present_on) do
    redis.call('ZADD', prefix .. 'members:' .. channel, 0, place.member)
    redis.call('ZADD', listeners_as(channel, place.member), place.since, listener)
  end
end

local function remove(listener)
  local place = place_of(listener)
  if not place then
    return nil
  end
  redis.call('HDEL', PLACES, listener)
  redis.call('ZREM', IDS, listener)
  redis.call('ZREM', ENDING, listener)
  redis.call('SREM', prefix .. 'of:' .. place.worker, listener)
  redis.call('ZREM', prefix .. 'of-user:' .. place.user, listener)
  for _, channel in ipairs(place.channels) do
    redis.call('ZREM', places_on(channel), listener)
    forget_name(channel)
  end
  for _, channel in ipairs(place.present_on) do
    local name = listeners_as(channel, place.member)
    redis.call('ZREM', name, listener)
    if redis.call('EXISTS', name) == 0 then
      redis.call('ZREM', prefix .. 'members:' .. channel, place.member)
    end
  end
  return place
end

-- Return the presences of these places, each with the place that came first.
local function presences_of(places)
  table.sort(places, function(one, other)
    if one.since ~= other.since then
      return one.since < other.since
    end
    return one.listener < other.listener
  end)
  local presences, seen = {}, {}
  for _, place in ipairs(places) do
    for _, channel in ipairs(place.present_on) do
      local name = listeners_as(channel, place.member)
      if not seen[name] then
        seen[name] = true
        presences[#presences + 1] = {name = name, channel = channel, place = place}
      end
    end
  end
  return presences
end

local function is_absent(presence)
  return redis.call('EXISTS', presence.name) == 0
end

-- Add a join or leave event.
local function tell(events, type, presence)
  local place = presence.place
  events[#events + 1] = 'presence:' .. presence.channel
  events[#events + 1] = type
  events[#events + 1] = string.format('{"member":%s,"meta":%s,"time":%.0f}', place.quoted, place.meta, wall)
end

-- Add a leave event for each member whose last place was removed.
local function tell_left(events, removed)
  for _, presence in ipairs(presences_of(removed)) do
    if is_absent(presence) then
      tell(events, 'leave', presence)
    end
  end
end

local function end_worker(worker, ends)
  redis.call('ZREM', WORKERS, worker)
  for _, listener in ipairs(redis.call('SMEMBERS', prefix .. 'of:' .. worker)) do
    end_at(listener, ends)
  end
end
