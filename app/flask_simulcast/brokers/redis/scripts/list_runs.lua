-- List runs in the order of ids. ARGV: the id to start after, largest number, user. Returns id and facts of each.
local source = ARGV[5] == '' and RUNS or prefix .. 'runs-of:' .. ARGV[5]
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYLEX', source, ARGV[3] == '' and '-' or '(' .. ARGV[3], '+', 'LIMIT', 0, ARGV[4])) do
  answer[#answer + 1] = id
  answer[#answer + 1] = facts_of(id)
end
return answer
