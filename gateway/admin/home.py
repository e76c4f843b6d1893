"""Which devices are at home in another region: what arrives of them here is set aside."""

from collections.abc import Sequence

from contracts.errors import Misuse
from contracts.regions import find_region
from contracts.residency import away_hash, away_key
from contracts.settings import RegionSettings
from gateway.admin.devices import audit, registry

_ADD = """insert into registry.away_device (device_hmac, home) values (%s, %s)
on conflict (device_hmac) do update set home = excluded.home where away_device.home <> excluded.home"""


def set_home(settings: RegionSettings, device_ids: Sequence[str], home: str) -> int:
    """Remember that these devices are at home in `home`, as keyed hashes; how many that changed.

    home: a region; this one takes them off the list. Raises UnknownRegion, and Misuse for a device that this region's
    registry has: a device has one home.
    """
    key = away_key(settings.release_key.get_secret_value())
    hashes = [away_hash(key, device_id) for device_id in device_ids]
    away = find_region(home).name != settings.region
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from registry.device where device_id = any(%s)", [list(device_ids)])
        (here,) = cursor.fetchone() or (0,)
        if away and here:
            raise Misuse(f"{here} of these devices are in the registry of {settings.region}; take them out of it first")
        if away:
            cursor.executemany(_ADD, [(one, home) for one in hashes])
        else:
            cursor.execute("delete from registry.away_device where device_hmac = any(%s)", [hashes])
        changed = cursor.rowcount
        # Not by their ids: this region keeps none of a device that is not its own.
        audit(cursor, "home", [None], f"{len(hashes)} devices at home in {home}")
    return changed
