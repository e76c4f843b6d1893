-- Forgets devices, all or those unseen since a time.
-- KEYS: geo, seen, stream of changes, then latest and trail of each device. ARGV: latest arrival (ms) that is forgotten,
-- or '' for any; entries that the stream of changes keeps (0: it is not written); then the device ids.
-- Returns how many were forgotten.
local FIRST = 3
local cutoff, ids = ARGV[1], {}
for i = FIRST, #ARGV do
    local id = ARGV[i]
    local score = redis.call('ZSCORE', KEYS[2], id)
    if cutoff == '' or (score and tonumber(score) <= tonumber(cutoff)) then
        redis.call('UNLINK', KEYS[2 * i - 2], KEYS[2 * i - 1])
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZREM', KEYS[2], id)
        ids[#ids + 1] = id
    end
end
if #ids > 0 and ARGV[2] ~= '0' then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 'ids', table.concat(ids, ' '))
end
return #ids
