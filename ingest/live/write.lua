-- Takes in the newest records and the points of some devices. See ingest/live/redis.py for the layout of a value.
-- KEYS: geo, seen, epoch, then latest and trail of each device.
-- ARGV: points kept a trail, number of devices, then for each device its value, id, latest arrival (ms), longitude and
--       latitude of its newest good position (empty: none) and number of points; then score and member of all points.
-- Returns: devices whose latest changed, whether the epoch stands.
local ORDER_FROM, ORDER_TO = 11, 100
local PLACE_FROM, PLACE_TO = 121, 210
local MOST_ARGUMENTS = 2000

local kept, devices = tonumber(ARGV[1]), tonumber(ARGV[2])
local seen, geo, updated = {}, {}, 0
local point = 3 + devices * 6

for i = 1, devices do
    local latest, trail = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
    local at = 3 + (i - 1) * 6
    local value, id, arrival = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local longitude, latitude, points = ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5])

    local head = redis.call('GETRANGE', latest, 0, PLACE_TO - 1)
    local old_order, old_place = string.sub(head, ORDER_FROM, ORDER_TO), string.sub(head, PLACE_FROM, PLACE_TO)
    local new_place = string.sub(value, PLACE_FROM, PLACE_TO)
    local moved = longitude ~= '' and new_place > old_place

    if string.sub(value, ORDER_FROM, ORDER_TO) > old_order then
        if new_place < old_place then
            value = string.sub(value, 1, PLACE_FROM - 1) .. old_place .. string.sub(value, PLACE_TO + 1)
        end
        redis.call('SET', latest, value)
        updated = updated + 1
    elseif moved then
        redis.call('SETRANGE', latest, PLACE_FROM - 1, new_place)
    end
    if moved then
        geo[#geo + 1] = longitude
        geo[#geo + 1] = latitude
        geo[#geo + 1] = id
    end
    seen[#seen + 1] = arrival
    seen[#seen + 1] = id

    if points > 0 then
        local last = point + 2 * points - 1
        while point <= last do
            local to = math.min(last, point + MOST_ARGUMENTS - 1)
            redis.call('ZADD', trail, unpack(ARGV, point, to))
            point = to + 1
        end
        redis.call('ZREMRANGEBYRANK', trail, 0, -kept - 1)
    end
end

if #seen > 0 then redis.call('ZADD', KEYS[2], 'GT', unpack(seen)) end
if #geo > 0 then redis.call('GEOADD', KEYS[1], unpack(geo)) end
return {updated, redis.call('EXISTS', KEYS[3])}
