-- Find where a replay of the newest events begins. ARGV: number of events, the id to look before ('+' for all), then channels.
-- Returns how many it found, the position before them ('' for none), the id to look before for more ('' if these are all or
-- enough), the head, the common marks, and for each channel its mark.
local MOST_ROWS, MOST_BYTES = 1000, 1048576
local wanted, channels = tonumber(ARGV[3]), arguments_from(5)
local head_ms, head_n, head_tag = head()
local facts = redis.call('HMGET', LOG, 'forgotten', 'forgotten_personal', 'floor')

-- Return the position before an event. A resume from it misses nothing.
local function position_before(ms, n)
  local first_ms, first_n, tag, count = group_at(id_of(ms, n))
  if first_ms and is_before(first_ms, first_n, ms, n) then
    local before_ms, before_n = following(ms, n, -1)
    return id_of(before_ms, before_n) .. '-' .. tag
  end
  first_ms, first_n, tag, count = group_at('(' .. id_of(ms, n))
  if first_ms then
    local last_ms, last_n = following(first_ms, first_n, count - 1)
    return id_of(last_ms, last_n) .. '-' .. tag
  end
  -- A position below the floor is recognised by its key alone.
  local floor_ms, floor_n = parse(facts[3])
  floor_ms, floor_n = following(floor_ms, floor_n, -1)
  return id_of(floor_ms, floor_n) .. '-00000000'
end

local found, bytes, oldest, is_cut = 0, 0, nil, false
if wanted > 0 then
  for _, row in merge('XREVRANGE', ARGV[4], '-', channels) do
    found, bytes, oldest = found + 1, bytes + #row[2][2], row[1]
    if found == wanted then
      break
    end
    if found == MOST_ROWS or bytes >= MOST_BYTES then
      is_cut = true
      break
    end
  end
end
local before = oldest and position_before(parse(oldest)) or ''
local next_start = is_cut and '(' .. oldest or ''
return {found, before, next_start, id_of(head_ms, head_n) .. '-' .. head_tag, facts[1], facts[2], marks_of(channels)}
