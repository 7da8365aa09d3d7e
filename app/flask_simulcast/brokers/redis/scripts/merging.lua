-- Merge the histories of several channels into one sequence. Scripts that read histories load this first.

-- Bounds of the read-ahead per channel. Every channel might have large events, and most rows might not be needed.
local AHEAD_BYTES, AHEAD_ROWS = 16384, 64

-- Return how many rows to read next, from the size of those that were read last.
local function step_after(rows)
  local bytes = 0
  for _, row in ipairs(rows) do
    bytes = bytes + #row[2][2] + EVENT_BYTES
  end
  return math.max(1, math.min(AHEAD_ROWS, math.floor(AHEAD_BYTES * #rows / bytes)))
end

-- Go to a source's next row. Returns whether there is one.
local function advance(source)
  source.at = source.at + 1
  if source.at > #source.rows and #source.rows == source.step then
    source.step = source.step > 0 and step_after(source.rows) or 1
    source.rows = redis.call(source.command, source.name, source.start, source.last, 'COUNT', source.step)
    source.at = 1
  end
  local row = source.rows[source.at]
  if row then
    source.start = '(' .. row[1]
    source.ms, source.n = parse(row[1])
  end
  return row ~= nil
end

-- Iterate over these channels' events with XRANGE or XREVRANGE, as {index of the channel, row}.
local function merge(command, start, last, channels)
  local sources, seen = {}, {} -- a heap
  local function is_first(one, other)
    if command == 'XRANGE' then
      return is_before(one.ms, one.n, other.ms, other.n)
    end
    return is_before(other.ms, other.n, one.ms, one.n)
  end
  local function sink(i)
    while true do
      local first = i
      for child = 2 * i, math.min(2 * i + 1, #sources) do
        if is_first(sources[child], sources[first]) then
          first = child
        end
      end
      if first == i then
        return
      end
      sources[i], sources[first] = sources[first], sources[i]
      i = first
    end
  end
  for place, channel in ipairs(channels) do
    local source = {
      place = place - 1, command = command, name = history_of(channel), start = start, last = last, rows = {}, at = 0, step = 0,
    }
    if not seen[channel] and advance(source) then
      sources[#sources + 1] = source
    end
    seen[channel] = true
  end
  for i = math.floor(#sources / 2), 1, -1 do
    sink(i)
  end
  return function()
    local source = sources[1]
    if not source then
      return nil
    end
    local row = source.rows[source.at]
    if not advance(source) then
      sources[1] = sources[#sources]
      sources[#sources] = nil
    end
    if #sources > 0 then
      sink(1)
    end
    return source.place, row
  end
end

local function marks_of(channels)
  local marks = {}
  for i, channel in ipairs(channels) do
    marks[i] = redis.call('HGET', MARKS, channel)
  end
  return marks
end

local function arguments_from(first)
  local list = {}
  for i = first, #ARGV do
    list[#list + 1] = ARGV[i]
  end
  return list
end
