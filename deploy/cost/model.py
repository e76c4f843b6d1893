"""What a region costs a month, by service, from its number of devices and how often each speaks.

Counts come from the deployment (tasks, shards, nodes) and from figures that benchmarks printed (MEASURED);
what nothing here could print is ASSUMED, and shown with the answer.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

from contracts.errors import Misuse
from deploy.cost.prices import HOURS_A_MONTH, PRICES
from deploy.deployment import Deployment
from deploy.scale.demand import share_of_day

DAYS = HOURS_A_MONTH / 24
_MB, _GB = 1e6, 1e9


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the model, and where it is from."""

    value: float
    unit: str
    source: str


MEASURED: Mapping[str, Figure] = {
    "record_bytes": Figure(value=218, unit="B a record on the stream", source="fleetlake bench consumer"),
    "merge_rows_s": Figure(value=21_231, unit="records/s a vCPU", source="fleetlake bench backfill, 2 cores"),
    "derive_rows_s": Figure(value=30_450, unit="records/s a vCPU", source="fleetlake bench backfill, 2 cores"),
    "worker_rows_s": Figure(value=67_005, unit="records/s of a worker with a quarter of a core",
                            source="fleetlake bench consumer"),
}  # fmt: skip
ASSUMED: Mapping[str, Figure] = {
    "parquet_bytes": Figure(value=45, unit="B a record in landing and history", source="sorted by device, zstd"),
    "live_bytes": Figure(value=15_000, unit="B a device in Redis", source="newest record and a trail of 100 points"),
    "aggregate": Figure(value=50, unit="records a Kinesis record", source="the gateway waits 50 ms a shard"),
    "shard_fill": Figure(value=0.7, unit="of a shard's 1 MB/s in use", source="room for a storm"),
    "keys_an_hour": Figure(value=4, unit="reads of each landed object", source="merge, trail, reconciliation"),
    "day_row_bytes": Figure(value=2_000, unit="B a device and day in Postgres", source="device day, trips, marts"),
    "mart_days": Figure(value=400, unit="days in the marts", source="a year and a month"),
    "api_requests": Figure(value=0.01, unit="requests a device and minute", source="somebody looks now and then"),
    "log_bytes": Figure(value=1.5, unit="kB/s of logs a task", source="a line a flush and session in ten"),
}  # fmt: skip
_NODES = {"cache.r7g.large": 13.07, "cache.r7g.xlarge": 26.32, "cache.r7g.2xlarge": 52.82, "cache.r7g.4xlarge": 105.81}
"""GiB of each node."""
_NODE_FILL = 0.7
_DATABASES = {"db.r6g.large": 250_000, "db.r6g.xlarge": 1_000_000, "db.r6g.2xlarge": 2_500_000, "db.r6g.4xlarge": 10**9}
"""Devices that each class is taken for."""
TASKS = {"gateway": (1.0, 2.0), "consumer": (0.5, 2.0), "serving": (1.0, 2.0), "dagster": (3.0, 12.0)}
"""vCPU and GB of a task, as in stacks/services.py; a test compares. Dagster: its three tasks."""
INTERVAL_MOST_S = 86_400.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one service costs a month. changes: the setting that changes it."""

    service: str
    usd: float
    quantity: str
    changes: str


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A month of one region."""

    devices: int
    interval_s: float
    peak_records_s: float
    records_month: float
    lines: list[Line]
    notes: list[str]

    @property
    def usd(self) -> float:
        """All of it."""
        return sum(line.usd for line in self.lines)


class Fleet:
    """Quantities of a region, hour by hour of a day: so many devices at its peak, an eighth of them at night."""

    def __init__(self, deployment: Deployment, devices: int, interval_s: float, shards: int) -> None:
        if devices < 1 or not 0 < interval_s <= INTERVAL_MOST_S:
            raise Misuse("a fleet has one device or more, and each speaks every 1 to 86,400 s; correct the options")
        self.deployment, self.devices, self.interval_s = deployment, devices, interval_s
        self.connected = [devices * share_of_day(hour) for hour in range(24)]
        self.records_s = [count / interval_s for count in self.connected]
        self.day_shards = max(shards, math.ceil(max(self.bytes_s()) / _MB / ASSUMED["shard_fill"].value))
        self.night_shards = math.ceil(self.day_shards / 2)

    @property
    def records_month(self) -> float:
        """Records of a month."""
        return sum(self.records_s) * 3_600 * DAYS

    def bytes_s(self) -> list[float]:
        """Bytes a second on the stream, by hour."""
        return [rate * MEASURED["record_bytes"].value for rate in self.records_s]

    def task_hours(self, wanted: Callable[[float], float], limits: tuple[int, int], of: list[float]) -> float:
        """Task-hours of a month, where so many are wanted at each hour's figure, within the limits."""
        fewest, most = limits
        return sum(min(most, max(fewest, math.ceil(wanted(value)))) for value in of) * DAYS

    def shard_hours(self) -> float:
        """Shard-hours of a month: by day from 05:00 to 22:00, half by night."""
        return (17 * self.day_shards + 7 * self.night_shards) * DAYS


def cost_of(deployment: Deployment, devices: int, interval_s: float, shards: int) -> Cost:
    """A month of one region with so many devices at its peak. shards: by day, as deployed.

    Raises Misuse where the fleet cannot be.
    """
    fleet = Fleet(deployment, devices, interval_s, shards)
    lines = [
        _stream(fleet), *_services(fleet), _live(fleet), _database(fleet), _lake(fleet), _leases(fleet), _spark(fleet),
        _network(fleet), _watching(fleet), _constant(),
    ]  # fmt: skip
    lines.sort(key=lambda line: -line.usd)
    return Cost(
        devices=devices, interval_s=interval_s, peak_records_s=max(fleet.records_s), records_month=fleet.records_month,
        lines=lines, notes=_notes(fleet),
    )  # fmt: skip


def _usd(name: str, quantity: float) -> float:
    return PRICES[name].usd * quantity


def _fargate(role: str, hours: float) -> float:
    cores, memory = TASKS[role]
    return _usd("fargate_vcpu", cores * hours) + _usd("fargate_gb", memory * hours)


def _stream(fleet: Fleet) -> Line:
    if fleet.deployment.stream.mode == "on-demand":
        gb = sum(fleet.bytes_s()) * 3_600 * DAYS / _GB
        usd = _usd("kinesis_on_demand_in", gb) + _usd("kinesis_on_demand_out", gb)
        usd += _usd("kinesis_on_demand_stream", HOURS_A_MONTH) + _usd("kinesis_on_demand_kept", gb / DAYS * 6)
        return Line(service="Kinesis", usd=usd, quantity=f"{gb:,.0f} GB in and out", changes="stream.mode: provisioned")
    hours = fleet.shard_hours()
    units = fleet.records_month / ASSUMED["aggregate"].value / 1e6
    usd = _usd("kinesis_shard", hours) + _usd("kinesis_7_days", hours) + _usd("kinesis_put", units)
    return Line(
        service="Kinesis", usd=usd, quantity=f"{fleet.day_shards} shards by day, {fleet.night_shards} by night",
        changes="stream.day_shards; FLEETLAKE_GATEWAY_LINGER_MS",
    )  # fmt: skip


def _services(fleet: Fleet) -> list[Line]:
    chosen = fleet.deployment
    # Connections cannot be held by fewer tasks than they need: a note says where the limit must be raised.
    enough = (chosen.gateway.tasks[0], fleet.devices)
    gateway = fleet.task_hours(lambda held: held / chosen.gateway.connections, enough, fleet.connected)
    workers = fleet.task_hours(lambda rate: rate / chosen.consumer.records_s, chosen.consumer.tasks, fleet.records_s)
    asked = [count * ASSUMED["api_requests"].value / 60 for count in fleet.connected]
    serving = fleet.task_hours(lambda rate: rate / chosen.serving.requests_s, chosen.serving.tasks, asked)
    return [
        Line(service="gateway", usd=_fargate("gateway", gateway), quantity=_tasks(gateway),
             changes="gateway.connections"),
        Line(service="consumer", usd=_fargate("consumer", workers), quantity=_tasks(workers),
             changes="consumer.records_s, consumer.tasks"),
        Line(service="read API", usd=_fargate("serving", serving), quantity=_tasks(serving),
             changes="serving.requests_s, serving.tasks"),
        Line(service="Dagster", usd=_fargate("dagster", HOURS_A_MONTH), quantity="its three tasks", changes=""),
    ]  # fmt: skip


def _tasks(hours: float) -> str:
    return f"{hours / HOURS_A_MONTH:,.1f} tasks on average"


def _live(fleet: Fleet) -> Line:
    gib = fleet.devices * ASSUMED["live_bytes"].value / 2**30
    fitting = [name for name, memory in _NODES.items() if memory * _NODE_FILL >= gib]
    node = fitting[0] if fitting else list(_NODES)[-1]
    pairs = max(1, math.ceil(gib / (_NODES[node] * _NODE_FILL)))
    return Line(
        service="ElastiCache", usd=_usd(node, 2 * pairs * HOURS_A_MONTH), changes="FLEETLAKE_TRAIL_POINTS",
        quantity=f"{2 * pairs} x {node} for {gib:,.1f} GiB",
    )  # fmt: skip


def _database(fleet: Fleet) -> Line:
    kind = next(name for name, devices in _DATABASES.items() if fleet.devices <= devices)
    gb = 100 + fleet.devices * ASSUMED["day_row_bytes"].value * ASSUMED["mart_days"].value / _GB
    usd = _usd(kind, HOURS_A_MONTH) + _usd("rds_kept", gb)
    return Line(service="RDS", usd=usd, quantity=f"{kind}, {gb:,.0f} GB", changes="how long marts are kept")


def _lake(fleet: Fleet) -> Line:
    """Landing for 90 days, history for a year: what a region that began a year ago pays."""
    a_day = fleet.records_month / DAYS * ASSUMED["parquet_bytes"].value / _GB
    kept = a_day * (90 + 365)
    objects = fleet.day_shards * 1_440 * DAYS / 1e6
    usd = _usd("s3_kept", kept) + _usd("s3_put", objects) + _usd("s3_get", objects * ASSUMED["keys_an_hour"].value)
    return Line(
        service="S3", usd=usd, quantity=f"{kept / 1e3:,.1f} TB after a year",
        changes="FLEETLAKE_LANDING_KEEP_DAYS, retention_days",
    )  # fmt: skip


def _leases(fleet: Fleet) -> Line:
    """A renewal of each lease every third of its TTL, and a transaction of two items a flush: two units each."""
    shard_s = fleet.shard_hours() * 3_600
    writes = shard_s / (10 / 3) + shard_s / 60 * 4
    reads = shard_s / 5
    usd = _usd("dynamodb_write", writes / 1e6) + _usd("dynamodb_read", reads / 1e6)
    return Line(
        service="DynamoDB", usd=usd, quantity=f"{writes / 1e6:,.0f} million writes",
        changes="FLEETLAKE_LEASE_TTL_S, FLEETLAKE_FLUSH_AGE_S",
    )  # fmt: skip


def _spark(fleet: Fleet) -> Line:
    each = 1 / MEASURED["merge_rows_s"].value + 1 / MEASURED["derive_rows_s"].value
    hours = 1.3 * fleet.records_month * each / 3_600  # a third more: starts, maintenance, late data
    usd = _usd("emr_vcpu", hours) + _usd("emr_gb", 4 * hours)
    return Line(
        service="EMR", usd=usd, quantity=f"{hours:,.0f} vCPU-hours", changes="FLEETLAKE_MERGE_OPEN_HOURS: false"
    )


def _network(fleet: Fleet) -> Line:
    """Entrances, endpoints, one NAT; answers to devices go out, records come in for nothing."""
    mb_s = max(fleet.bytes_s()) / _MB
    units = max(1.0, max(fleet.connected) / 100_000 + mb_s * 3.6 / 1_000)
    out_gb = fleet.records_month * 40 / _GB
    usd = _usd("nlb", HOURS_A_MONTH) + _usd("nlb_unit", units * HOURS_A_MONTH)
    usd += _usd("alb", HOURS_A_MONTH) + _usd("alb_unit", 2 * HOURS_A_MONTH) + _usd("nat", HOURS_A_MONTH)
    usd += _usd("endpoint", 18 * HOURS_A_MONTH) + _usd("address", 7 * HOURS_A_MONTH) + _usd("out", out_gb)
    usd += _usd("between_zones", sum(fleet.bytes_s()) * 3_600 * DAYS / _GB)
    return Line(service="network", usd=usd, quantity=f"{out_gb:,.0f} GB out", changes="interval of the devices")


def _watching(fleet: Fleet) -> Line:
    chosen = fleet.deployment
    tasks = chosen.gateway.tasks[0] + chosen.consumer.tasks[0] + chosen.serving.tasks[0] + 3
    gb = tasks * ASSUMED["log_bytes"].value * 1e3 * 3_600 * HOURS_A_MONTH / _GB
    usd = _usd("log", gb) + _usd("metric", 120) + _usd("alarm", 30)
    return Line(service="CloudWatch", usd=usd, quantity=f"{gb:,.0f} GB of logs", changes="")


def _constant() -> Line:
    usd = _usd("secret", 8) + _usd("key", 1) + _usd("waf", 1)
    return Line(service="secrets, key, WAF", usd=usd, quantity="8 secrets, a key, an ACL", changes="")


def _notes(fleet: Fleet) -> list[str]:
    """Where the deployment's limits bind."""
    chosen, notes = fleet.deployment, list[str]()
    most = chosen.consumer.tasks[1]
    each = max(fleet.records_s) / most
    if each > chosen.consumer.records_s:
        able = MEASURED["worker_rows_s"].value
        verdict = "within" if each <= able else "beyond"
        notes.append(
            f"at its peak each of {most} workers reads {each:,.0f} records/s, {verdict} the {able:,.0f} measured"
        )
    if max(fleet.connected) / chosen.gateway.connections > chosen.gateway.tasks[1]:
        need = math.ceil(max(fleet.connected) / chosen.gateway.connections)
        notes.append(f"gateway.tasks must allow {need}: {chosen.gateway.tasks[1]} hold too few connections")
    if fleet.day_shards > 500:  # noqa: PLR2004 - the default quota of shards
        notes.append(f"{fleet.day_shards} shards are beyond an account's default quota; ask AWS for more")
    return notes
