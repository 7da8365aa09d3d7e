-- Append events to runs. ARGV: tag, then for each run: id, number of events that its producer stored before (empty if they are
-- not the producer's), ending (empty for none), number of events, and channel, type, data of each. Returns for each whether it
-- has them now.
local answer, at = {}, 4
while at <= #ARGV do
  local id, after, ending, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local first = at + 4
  at = first + 3 * count
  local known = redis.call('HMGET', run_of(id), 'events', 'ending')
  if known[1] and after ~= '' and tonumber(known[1]) > tonumber(after) then
    answer[#answer + 1] = 1 -- an earlier try has stored them
  elseif not known[1] or known[2] ~= '' then
    answer[#answer + 1] = 0
  else
    local events = {}
    for i = first, at - 1 do
      events[#events + 1] = ARGV[i]
    end
    append_to_run(id, events, ARGV[3], after == '' and '' or after + count, ending)
    answer[#answer + 1] = 1
  end
end
return answer
