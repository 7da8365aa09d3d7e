-- List places of connected listeners, in the order of ids. ARGV: the id to start after, largest number, channel, user. Returns
-- the id to go on after ('' at the end), then listener, place, ...
local MOST_LOOKED_AT = 200
local start, most, channel, user = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local source = IDS
if user ~= '' then
  source = prefix .. 'of-user:' .. user
elseif channel ~= '' then
  source = places_on(channel)
end
local ids = redis.call('ZRANGEBYLEX', source, start == '' and '-' or '(' .. start, '+', 'LIMIT', 0, MOST_LOOKED_AT)
local answer = {#ids == MOST_LOOKED_AT and ids[#ids] or ''}
for _, listener in ipairs(ids) do
  if #answer > 2 * most then
    break
  end
  if user == '' or channel == '' or redis.call('ZSCORE', places_on(channel), listener) then
    local place = place_of(listener)
    if is_connected(place) then
      answer[#answer + 1] = listener
      answer[#answer + 1] = place.text
    end
  end
end
return answer
