-- Takes in the newest records of n devices. See ingest/live/redis.py for the layout of a value.
-- KEYS: geo, epoch, rebuilds, writes of this writer, stream of changes, latest of each device.
-- ARGV: length of a latest key's prefix, writes of this writer that were acknowledged, one byte per device: "1" if the
--       record is its newest position too; entries that the stream of changes keeps (0: it is not written); then n values;
--       n scores of the newest good position in the geo set (empty: none).
-- Returns: devices whose latest changed, writes of this writer, this one included.
-- A server that crashed may restart without its last writes. If acknowledged writes are missing, the epoch is deleted,
-- and so are the notes of rebuilds, which may have lost some of theirs.
-- Calls and new strings cost the most: all values are read in one call and written in one, and substrings are compared
-- only if the values as a whole do not decide.
local ORDER_FROM, ORDER_TO = 11, 100
local PLACE_FROM, PLACE_TO = 121, 210
local OWN_PLACE = 49

local FIXED_KEYS, FIXED_ARGUMENTS = 5, 4
local KEEP_WRITES_S = 30 * 86400

local call, sub, byte = redis.call, string.sub, string.byte
local n, id_from, acknowledged, own = #KEYS - FIXED_KEYS, ARGV[1] + 1, tonumber(ARGV[2]), ARGV[3]
local places = FIXED_ARGUMENTS + n
local writes = 1 + tonumber(call('GET', KEYS[4]) or '0')
if writes <= acknowledged then
    call('DEL', KEYS[2], KEYS[3])
    writes = acknowledged + 1
end
call('SET', KEYS[4], writes, 'EX', KEEP_WRITES_S)
local held = call('MGET', unpack(KEYS, FIXED_KEYS + 1))
local set, sets, geo, geos, updated, ids = {}, 0, {}, 0, 0, {}

for i = 1, n do
    local key, value, old = KEYS[FIXED_KEYS + i], ARGV[FIXED_ARGUMENTS + i], held[i] or ''
    local id, moved, changed = sub(key, id_from), false, nil
    if byte(own, i) == OWN_PLACE and value > old then
        -- Values begin with the order, and a place is never newer than the newest record.
        moved, changed, updated = true, value, updated + 1
    else
        local old_place, new_place = sub(old, PLACE_FROM, PLACE_TO), sub(value, PLACE_FROM, PLACE_TO)
        moved = ARGV[places + i] ~= '' and new_place > old_place
        if sub(value, ORDER_FROM, ORDER_TO) > sub(old, ORDER_FROM, ORDER_TO) then
            changed, updated = value, updated + 1
            if new_place < old_place then
                changed = sub(value, 1, PLACE_FROM - 1) .. old_place .. sub(value, PLACE_TO + 1)
            end
        elseif moved then
            changed = sub(old, 1, PLACE_FROM - 1) .. new_place .. sub(old, PLACE_TO + 1)
        end
    end
    if changed then
        set[sets + 1], set[sets + 2] = key, changed
        sets = sets + 2
        ids[sets / 2] = id
    end
    if moved then
        geo[geos + 1], geo[geos + 2] = ARGV[places + i], id
        geos = geos + 2
    end
end

-- Values last: a place that is refused leaves the guard as it was, so those beside it can be written again.
if geos > 0 then call('ZADD', KEYS[1], unpack(geo)) end
if sets > 0 then
    call('MSET', unpack(set))
    if ARGV[4] ~= '0' then call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[4], '*', 'ids', table.concat(ids, ' ')) end
end
return {updated, writes}
