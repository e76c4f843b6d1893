-- Takes in the newest records and the points of n devices. See ingest/live/redis.py for the layout of a value.
-- KEYS: geo, seen, epoch, rebuilds, writes of this writer, latest of each device, trail of each device.
-- ARGV: points kept a trail, n, writes that this writer was told of; n values; n pairs of latest arrival (ms) and device id; n triples of longitude and
--       latitude of the newest good position (empty: none) and number of points; then score and member of all points.
-- Returns: devices whose latest changed, writes of this writer, this one included.
-- A server that crashed comes back without its last moments. Where that took writes that were told of, the epoch
-- goes, and so do the rebuilds that may have lost some of theirs.
-- Calls cost more than what they do, so values are read and written in one call for all devices.
local ORDER_FROM, ORDER_TO = 11, 100
local PLACE_FROM, PLACE_TO = 121, 210
local MOST_ARGUMENTS = 2000

local FIXED_KEYS, FIXED_ARGUMENTS = 5, 3
local KEEP_WRITES_S = 30 * 86400

local kept, n, told = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first_pair = FIXED_ARGUMENTS + n + 1
local first_triple, point = first_pair + 2 * n, first_pair + 5 * n
local writes = 1 + tonumber(redis.call('GET', KEYS[5]) or '0')
if writes <= told then
    redis.call('DEL', KEYS[3], KEYS[4])
    writes = told + 1
end
redis.call('SET', KEYS[5], writes, 'EX', KEEP_WRITES_S)
local held = redis.call('MGET', unpack(KEYS, FIXED_KEYS + 1, FIXED_KEYS + n))
local set, geo, updated = {}, {}, 0

for i = 1, n do
    local value, old = ARGV[FIXED_ARGUMENTS + i], held[i] or ''
    local at = first_triple + 3 * (i - 1)
    local old_place = string.sub(old, PLACE_FROM, PLACE_TO)
    local new_place = string.sub(value, PLACE_FROM, PLACE_TO)
    local moved = ARGV[at] ~= '' and new_place > old_place
    if string.sub(value, ORDER_FROM, ORDER_TO) > string.sub(old, ORDER_FROM, ORDER_TO) then
        if new_place < old_place then
            value = string.sub(value, 1, PLACE_FROM - 1) .. old_place .. string.sub(value, PLACE_TO + 1)
        end
        set[#set + 1] = KEYS[FIXED_KEYS + i]
        set[#set + 1] = value
        updated = updated + 1
    elseif moved then
        set[#set + 1] = KEYS[FIXED_KEYS + i]
        set[#set + 1] = string.sub(old, 1, PLACE_FROM - 1) .. new_place .. string.sub(old, PLACE_TO + 1)
    end
    if moved then
        geo[#geo + 1] = ARGV[at]
        geo[#geo + 1] = ARGV[at + 1]
        geo[#geo + 1] = ARGV[first_pair + 2 * i - 1]
    end
    local last, added = point + 2 * tonumber(ARGV[at + 2]) - 1, 0
    while point <= last do
        local to = math.min(last, point + MOST_ARGUMENTS - 1)
        added = added + redis.call('ZADD', KEYS[FIXED_KEYS + n + i], unpack(ARGV, point, to))
        point = to + 1
    end
    if added > 0 then redis.call('ZREMRANGEBYRANK', KEYS[FIXED_KEYS + n + i], 0, -kept - 1) end
end

-- Values last: a place that is refused leaves the guard as it was, so those beside it can be written again.
if #geo > 0 then redis.call('GEOADD', KEYS[1], unpack(geo)) end
redis.call('ZADD', KEYS[2], 'GT', unpack(ARGV, first_pair, first_triple - 1))
if #set > 0 then redis.call('MSET', unpack(set)) end
return {updated, writes}
