-- Forgets devices, all or those unseen since a time.
-- KEYS: geo, seen, then latest and trail of each device. ARGV: latest arrival (ms) that is forgotten, or '' for any;
-- then the device ids. Returns how many were forgotten.
local cutoff, forgotten = ARGV[1], 0
for i = 2, #ARGV do
    local id = ARGV[i]
    local score = redis.call('ZSCORE', KEYS[2], id)
    if cutoff == '' or (score and tonumber(score) <= tonumber(cutoff)) then
        redis.call('UNLINK', KEYS[2 * i - 1], KEYS[2 * i])
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZREM', KEYS[2], id)
        forgotten = forgotten + 1
    end
end
return forgotten
