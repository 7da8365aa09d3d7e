-- Places of connected listeners, in the order of ids. ARGV: id after which, how many, channel, user. Answers listener, place, ...
local after, most, channel, user = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local source = IDS
if user ~= '' then
  source = prefix .. 'of-user:' .. user
elseif channel ~= '' then
  source = prefix .. 'on:' .. channel
end
local answer, leases = {}, {}
local start = after == '' and '-' or '(' .. after
while #answer < 2 * most do
  local ids = redis.call('ZRANGEBYLEX', source, start, '+', 'LIMIT', 0, 100)
  for _, listener in ipairs(ids) do
    local place = place_of(listener)
    if #answer < 2 * most and is_connected(place)
      and (user == '' or channel == '' or redis.call('ZSCORE', prefix .. 'on:' .. channel, listener)) then
      answer[#answer + 1] = listener
      answer[#answer + 1] = place.text
    end
    start = '(' .. listener
  end
  if #ids < 100 then
    break
  end
end
return answer
