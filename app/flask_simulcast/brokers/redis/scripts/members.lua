-- List the members present on a channel, in the order of names. ARGV: channel, the name to start after, largest number. Returns
-- name, meta, since, number of places, ...
local answer = {}
local start = ARGV[4] == '' and '-' or '(' .. ARGV[4]
for _, member in ipairs(redis.call('ZRANGEBYLEX', prefix .. 'members:' .. ARGV[3], start, '+', 'LIMIT', 0, ARGV[5])) do
  local name = listeners_as(ARGV[3], member)
  local first = place_of(redis.call('ZRANGE', name, 0, 0)[1])
  answer[#answer + 1] = member
  answer[#answer + 1] = first.meta
  answer[#answer + 1] = string.format('%.0f', first.since)
  answer[#answer + 1] = redis.call('ZCARD', name)
end
return answer
