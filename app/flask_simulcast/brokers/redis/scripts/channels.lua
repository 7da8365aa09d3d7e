-- Find channels that might need a trim: some of those that have grown, and the next few of all channels, whose events only age.
-- ARGV: cursor, number of channels of each kind. Returns the next cursor, and the channels.
local step = tonumber(ARGV[4])
local some = redis.call('ZRANGE', OLDEST, ARGV[3], ARGV[3] + step - 1)
local following_place = #some == step and ARGV[3] + step or 0
for _, channel in ipairs(redis.call('SRANDMEMBER', GROWN, step)) do
  some[#some + 1] = channel
end
for _, channel in ipairs(some) do
  redis.pcall('ZADD', NAMES, 0, channel) -- an older version did not keep the names; a full Redis refuses, and must be trimmed
end
return {following_place, some}
