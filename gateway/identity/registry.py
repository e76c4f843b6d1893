"""The registry in the region's Postgres, as the gateway reads it."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from contracts.errors import StoreUnavailable
from gateway.identity.model import Access, FleetCa, KnownDevice, Token

_DEVICES = """
select d.device_id, d.fleet_id, d.access, d.messages_s, f.messages_s,
    (select array_agg(t.hash order by t.token_id) from registry.device_token t
      where t.device_id = d.device_id and t.revoked_at is null),
    (select array_agg(t.expires_at order by t.token_id) from registry.device_token t
      where t.device_id = d.device_id and t.revoked_at is null),
    (select array_agg(k.public_key order by k.key_id) from registry.device_key k
      where k.device_id = d.device_id and k.revoked_at is null),
    (select array_agg(c.certificate) from registry.revoked_certificate c where c.device_id = d.device_id),
    (select array_agg(s.device_id) from registry.speaks_for s where s.concentrator = d.device_id)
from registry.device d join registry.fleet f using (fleet_id) where d.device_id = any(%s)
"""
_CAS = """
select c.ca_id, c.fleet_id, c.certificate, f.provisioning
from registry.fleet_ca c join registry.fleet f using (fleet_id)
where c.removed_at is null order by c.added_at, c.ca_id
"""
_PROVISION = """
with made as (
    insert into registry.device (device_id, fleet_id, type, access)
    values (%(device)s, %(fleet)s, 'unknown', %(access)s)
    on conflict (device_id) do nothing returning device_id
)
insert into registry.access_audit (who, act, device_id, fleet_id, detail)
select 'gateway', 'provision', device_id, %(fleet)s, %(detail)s from made
"""
_REFUSALS = """
insert into registry.last_refusal as l (device_id, refused_at, protocol, reason, detail, refusals)
select %(device)s, %(at)s, %(protocol)s, %(reason)s, %(detail)s, %(count)s
where exists (select from registry.device where device_id = %(device)s)
on conflict (device_id) do update set refused_at = excluded.refused_at, protocol = excluded.protocol,
    reason = excluded.reason, detail = excluded.detail, refusals = l.refusals + excluded.refusals
"""
_ACKNOWLEDGED = """
insert into ops.acknowledged as a (process, records, started_at, counted_at) values (%s, %s, %s, now())
on conflict (process) do update set records = greatest(a.records, excluded.records), counted_at = now()
"""
MOST_CONNECTIONS = 4
PROVISIONING = ("refuse", "pending", "active")
"""What a fleet does with devices that its CA vouches for and the registry does not know."""


class Registry(Protocol):
    """Who may speak, as the gateway asks it.

    Promises
    - `devices` returns those of the devices that the registry has; `cas` those that are not removed.
    - `provision` enters an unknown device and never changes a known one.
    - Each raises StoreUnavailable, within seconds, where Postgres does not answer.
    """

    async def devices(self, device_ids: Collection[str]) -> dict[str, KnownDevice]: ...
    async def cas(self) -> list[FleetCa]: ...
    async def provision(self, device_id: str, ca: FleetCa) -> None: ...


class PostgresRegistry:
    """A Registry over a small pool of connections; and the rows that the gateway writes."""

    def __init__(self, dsn: str, *, timeout_s: float = 5.0) -> None:
        """Open it on the event loop with `open`."""
        self._timeout_s = timeout_s
        self._pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "connect_timeout": 5, "options": "-c statement_timeout=10000"},
            min_size=1,
            max_size=MOST_CONNECTIONS,
            timeout=timeout_s,
            reconnect_timeout=10,
            open=False,
        )

    async def open(self) -> None:
        """Begin to connect; Postgres need not be there yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close(timeout=2)

    async def devices(self, device_ids: Collection[str]) -> dict[str, KnownDevice]:
        """See Registry."""
        rows = await self._run(_DEVICES, [list(device_ids)])
        return {row[0]: _device(row) for row in rows}

    async def cas(self) -> list[FleetCa]:
        """See Registry."""
        return [FleetCa(*row) for row in await self._run(_CAS, None)]

    async def provision(self, device_id: str, ca: FleetCa) -> None:
        """See Registry."""
        access = Access(ca.provisioning)
        values = {
            "device": device_id,
            "fleet": ca.fleet_id,
            "access": access,
            "detail": f"first contact, CA {ca.ca_id}",
        }
        await self._run(_PROVISION, values)

    async def note_refusals(self, refusals: Collection[Mapping[str, Any]]) -> None:
        """Keep the last refusal of each device: device, at, protocol, reason, detail, count."""
        for refusal in refusals:
            await self._run(_REFUSALS, refusal)

    async def note_acknowledged(self, process: str, records: int, started_at: datetime) -> None:
        """Keep how many user records a process has acknowledged so far."""
        await self._run(_ACKNOWLEDGED, [process, records, started_at])

    async def _run(self, query: str, values: Any) -> list[tuple[Any, ...]]:
        try:
            # A server that hangs answers nothing, its own timeouts neither.
            async with asyncio.timeout(self._timeout_s), self._pool.connection() as connection:
                cursor = await connection.execute(query, values)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            raise StoreUnavailable(f"Postgres does not answer the gateway ({type(error).__name__})") from None


def _device(row: tuple[Any, ...]) -> KnownDevice:
    device_id, fleet_id, access, messages_s, fleet_messages_s, hashes, expiries, keys, revoked, speaks_for = row
    tokens = tuple(Token(bytes(hash_), expires) for hash_, expires in zip(hashes or [], expiries or [], strict=True))
    return KnownDevice(
        device_id=device_id,
        fleet_id=fleet_id,
        access=Access(access),
        tokens=tokens,
        keys=tuple(keys or ()),
        revoked=frozenset(revoked or ()),
        speaks_for=frozenset(speaks_for or ()),
        messages_s=messages_s,
        fleet_messages_s=fleet_messages_s,
    )
