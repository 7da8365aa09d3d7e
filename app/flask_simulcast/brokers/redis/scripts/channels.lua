-- Channels that may have to be trimmed: some of those that have grown, and the next few of all, whose events only age. ARGV:
-- where to go on, how many of each. Answers where to go on, and the channels.
local step = tonumber(ARGV[4])
local some = redis.call('ZRANGE', OLDEST, ARGV[3], ARGV[3] + step - 1)
local following_place = #some == step and ARGV[3] + step or 0
for _, channel in ipairs(redis.call('SRANDMEMBER', GROWN, step)) do
  some[#some + 1] = channel
end
return {following_place, some}
