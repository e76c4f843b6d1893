-- Ends a rebuild: live state is complete, unless the state that the rebuild began with or its own last writes were lost.
-- KEYS: rebuilds, epoch, writes of this writer. ARGV: token of the rebuild, writes of this writer that were acknowledged.
-- Returns 1 where the epoch is set.
if tonumber(redis.call('GET', KEYS[3]) or '0') < tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
return 1
