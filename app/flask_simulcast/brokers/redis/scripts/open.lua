-- Begin a log where there is none. ARGV: tag.
if redis.call('EXISTS', LOG) == 1 then
  return 0
end
local born = id_of(wall, 0)
redis.call('DEL', TAIL, TAGS) -- of a log whose head was deleted
redis.call('XADD', TAGS, born, ARGV[3], 1)
redis.call('HSET', LOG, 'ms', wall, 'n', 0, 'tag', ARGV[3], 'birth', born .. '-' .. ARGV[3], 'floor', born, 'below', '', 'dropped', '0-0',
  'bytes', 0, 'forgotten', '0-0-00000000', 'forgotten_personal', '0-0-00000000')
return 1
