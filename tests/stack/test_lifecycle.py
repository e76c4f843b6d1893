"""Up, down and what happens in between, with real processes."""

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import psutil
import psycopg
import pytest
import redis
from botocore.exceptions import ClientError

import stack
from contracts.errors import BadRegionTable, ServiceFailed, StackDown
from contracts.settings import RegionSettings
from stack.layout import Layout
from stack.processes import boot_id, find, start_mark
from tests.builders.stack import SERVICES, eventually, gone, kill, process_of, processes_of, stack_folder

ALL_UP = dict.fromkeys(SERVICES, "up")
ALL_DOWN = dict.fromkeys(SERVICES, "down")


def client_of(settings, service):
    return boto3.client(service, **getattr(settings, service).client_kwargs(settings.row.aws_region))


def put_everywhere(settings):
    """One thing in each store."""
    client_of(settings, "kinesis").put_record(StreamName="telemetry-us", Data=b"kept", PartitionKey="p")
    client_of(settings, "dynamodb").put_item(TableName="leases-us", Item={"shard_id": {"S": "kept"}})
    client_of(settings, "s3").put_object(Bucket="lake-us", Key="kept", Body=b"kept")
    redis.Redis.from_url(settings.redis_url.get_secret_value()).set("us:kept", "kept")
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("insert into registry.subject values ('kept') on conflict do nothing")


def found_everywhere(settings):
    """Which stores still have it."""
    kinesis = client_of(settings, "kinesis")
    shard = kinesis.list_shards(StreamName="telemetry-us")["Shards"][0]["ShardId"]
    start = kinesis.get_shard_iterator(StreamName="telemetry-us", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    lease = client_of(settings, "dynamodb").get_item(TableName="leases-us", Key={"shard_id": {"S": "kept"}})
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as connection:
        subject = connection.execute("select subject_id from registry.subject").fetchone()
    return {
        "kinesis": b"kept" in [record["Data"] for record in records],
        "dynamodb": "Item" in lease,
        "s3": client_of(settings, "s3").get_object(Bucket="lake-us", Key="kept")["Body"].read() == b"kept",
        "redis": redis.Redis.from_url(settings.redis_url.get_secret_value()).get("us:kept") == b"kept",
        "postgres": subject == ("kept",),
    }


def test_a_second_up_finds_what_runs(own_stack):
    before = [process.pid for process in processes_of(own_stack.state)]
    own_stack.up()
    after = [process_of(own_stack.state, service).pid for service in SERVICES]
    assert set(after) <= set(before)
    assert stack.services_status(own_stack.state) == ALL_UP


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_seen_and_mended_on_its_port(own_stack, service):
    settings = own_stack.settings("us")
    others = {other: process_of(own_stack.state, other).pid for other in SERVICES if other != service}
    kill(process_of(own_stack.state, service))

    assert stack.services_status(own_stack.state) == ALL_UP | {service: "down"}
    with pytest.raises(StackDown, match=f"{service} down.*run 'fleetlake up'"):
        own_stack.settings("us")

    own_stack.up()
    assert stack.services_status(own_stack.state) == ALL_UP
    assert {other: process_of(own_stack.state, other).pid for other in others} == others
    assert own_stack.settings("us") == settings, (
        "ports and credentials stay, so running processes come back by themselves"
    )


def test_data_survives_down_and_up(own_stack):
    settings = own_stack.settings("us")
    put_everywhere(settings)
    stack.down(own_stack.state)
    own_stack.up()
    assert own_stack.settings("us") == settings
    assert found_everywhere(settings) == dict.fromkeys(("kinesis", "dynamodb", "s3", "redis", "postgres"), True)


def test_the_emulator_keeps_records_and_leases_through_a_crash(own_stack):
    settings = own_stack.settings("us")
    state = Layout.of(own_stack.state).data("kinesis") / "state" / "current"
    before = state.readlink() if state.is_symlink() else None
    put_everywhere(settings)
    eventually(lambda: state.is_symlink() and state.readlink() != before)
    kill(process_of(own_stack.state, "kinesis"))
    own_stack.up()
    found = found_everywhere(settings)
    assert found["kinesis"]
    assert found["dynamodb"]


def test_an_emulator_killed_right_after_the_first_up_still_knows_the_keys_that_it_gave():
    """Processes hold these keys already: others in their place would strand them."""
    with stack_folder() as (state, regions_file):
        stack.up(state, regions_file)
        kill(process_of(state, "kinesis"))
        before = Layout.of(state).credentials.read_text(encoding="utf-8")
        stack.up(state, regions_file)
        assert Layout.of(state).credentials.read_text(encoding="utf-8") == before


def test_a_kill_while_a_snapshot_is_written_leaves_the_port_to_the_next_start(own_stack):
    """The child that writes must not hold the server's socket: `up` would choose another port."""
    settings = own_stack.settings("us")
    tables = client_of(settings, "dynamodb")
    for number in range(60):
        tables.put_item(TableName="leases-us", Item={"shard_id": {"S": str(number)}, "text": {"S": 350_000 * "x"}})
    server = process_of(own_stack.state, "kinesis")

    def a_child_writes_without_sockets():
        with contextlib.suppress(psutil.NoSuchProcess):
            return any(not child.net_connections() for child in server.children())

    eventually(a_child_writes_without_sockets)
    kill(server)
    own_stack.up()
    assert own_stack.settings("us") == settings


def test_down_leaves_no_process_and_may_run_again(own_stack):
    running = processes_of(own_stack.state)
    assert len(running) > len(SERVICES), "Postgres has children"
    stack.down(own_stack.state)
    left = [process for process in running if not gone(process)]
    assert left == []
    assert stack.services_status(own_stack.state) == ALL_DOWN
    stack.down(own_stack.state)


def test_everything_listens_on_this_machine_only(own_stack):
    for service in SERVICES:
        server = process_of(own_stack.state, service)
        family = [server, *server.children(recursive=True)]
        assert {connection.laddr.ip for process in family for connection in _listening(process)} == {"127.0.0.1"}


def test_two_stacks_stand_side_by_side(own_stack):
    with stack_folder() as (state, regions_file):
        stack.up(state, regions_file)
        other = RegionSettings.load(stack.region_environment(state, "us", {}))
        own = own_stack.settings("us")
        redis.Redis.from_url(other.redis_url.get_secret_value()).set("us:only-there", "1")
        assert redis.Redis.from_url(own.redis_url.get_secret_value()).get("us:only-there") is None
        pids = {process.pid for process in processes_of(state)}
        assert pids.isdisjoint(process.pid for process in processes_of(own_stack.state))
        stack.down(state)
    assert stack.services_status(own_stack.state) == ALL_UP, "the other's down ended nothing of ours"


def test_two_ups_at_once_start_one_stack():
    with stack_folder() as (state, regions_file):
        program = f"import stack; from pathlib import Path; stack.up(Path({str(state)!r}), Path({str(regions_file)!r}))"
        started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
        assert [process.wait(timeout=120) for process in started] == [0, 0]
        assert stack.services_status(state) == ALL_UP
        running = [process.info for process in psutil.process_iter(["cwd", "pid", "ppid"])]
        mine = {one["pid"]: one["ppid"] for one in running if str(state) in (one["cwd"] or "")}
        parents = [pid for pid, parent in mine.items() if parent not in mine]
        assert len(parents) == len(SERVICES)


def test_a_service_that_cannot_start_names_its_log_and_its_last_lines():
    with stack_folder() as (state, regions_file):
        broken = state / "redis" / "appendonlydir"
        broken.mkdir(parents=True)
        (broken / "appendonly.aof.manifest").write_text("not a manifest\n", encoding="utf-8")
        with pytest.raises(ServiceFailed) as caught:
            stack.up(state, regions_file)
        assert str(state / "logs" / "redis.log") in str(caught.value)
        assert "AOF" in str(caught.value)
        (broken / "appendonly.aof.manifest").unlink()
        stack.up(state, regions_file)
        assert stack.services_status(state) == ALL_UP, "another up mends"


def test_a_record_from_before_a_reboot_is_not_believed(own_stack):
    stack.down(own_stack.state)
    record = Layout.of(own_stack.state).process("redis")
    bystander = psutil.Process()
    it = {"pid": bystander.pid, "started": start_mark(bystander.pid), "boot_id": boot_id(), "digest": ""}
    record.write_text(json.dumps(it), encoding="utf-8")
    assert find(record), "this is how it would have been recorded"
    record.write_text(json.dumps(it | {"boot_id": "before"}), encoding="utf-8")
    assert stack.services_status(own_stack.state) == ALL_DOWN
    stack.down(own_stack.state)
    assert bystander.is_running()
    record.write_text(json.dumps(it | {"started": "1"}), encoding="utf-8")
    own_stack.up()
    assert process_of(own_stack.state, "redis").pid != bystander.pid


def test_a_region_added_to_the_table_is_provisioned_and_the_others_stay(own_stack, monkeypatch):
    settings = own_stack.settings("us")
    added = own_stack.regions_file.with_name("three.toml")
    table = own_stack.regions_file.read_text(encoding="utf-8")
    added.write_text(table + table.split("[us]")[1].join(["\n[us1]", ""]), encoding="utf-8")
    try:
        monkeypatch.setenv("FLEETLAKE_REGIONS_FILE", str(added))
        stack.up(own_stack.state)
        new = RegionSettings.load(stack.region_environment(own_stack.state, "us1", {}))
        client_of(new, "s3").put_object(Bucket="lake-us1", Key="a", Body=b"")
        assert redis.Redis.from_url(new.redis_url.get_secret_value()).set("us1:a", "1")
        assert client_of(new, "kinesis").list_shards(StreamName="telemetry-us1")["Shards"]
        assert own_stack.settings("us") == settings, "who runs already finds everything where it was"
        for bucket, key in (("lake-us1", "a"), ("exchange", "region=us1/a")):
            with pytest.raises(ClientError, match="AccessDenied"):
                client_of(settings, "s3").put_object(Bucket=bucket, Key=key, Body=b"a name that starts like ours")
    finally:
        own_stack.up()


def test_a_malformed_region_table_starts_nothing(tmp_path: Path):
    table = tmp_path / "regions.toml"
    table.write_text("[eu\n", encoding="utf-8")
    with pytest.raises(BadRegionTable, match="is not TOML"):
        stack.up(tmp_path / "state", table)
    assert not (tmp_path / "state").exists()


def test_secrets_are_for_their_owner_only(own_stack):
    layout = Layout.of(own_stack.state)
    private = [layout.credentials, layout.data("s3") / "identities.json", layout.data("redis") / "users.acl"]
    assert [oct(path.stat().st_mode & 0o777) for path in private] == ["0o600"] * 3
    commands = " ".join(map(_command_of, processes_of(own_stack.state)))
    logs = " ".join(path.read_text(errors="replace") for path in layout.logs.iterdir())
    for secret in _secrets_in(json.loads(layout.credentials.read_text())):
        assert secret not in commands
        assert secret not in logs


def test_many_readers_while_up_runs_see_a_whole_stack(own_stack):
    with ThreadPoolExecutor(4) as pool:
        ups = [pool.submit(own_stack.up) for _ in range(2)]
        seen = [pool.submit(own_stack.settings, "us").result() for _ in range(10)]
        assert [up.result() for up in ups] == [None, None]
    assert len({settings.redis_url.get_secret_value() for settings in seen}) == 1


def _listening(process):
    """Where it listens; nowhere if it ended meanwhile, as Postgres's workers do."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [one for one in process.net_connections(kind="inet") if one.status == psutil.CONN_LISTEN]
    return []


def _command_of(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _secrets_in(value):
    if isinstance(value, dict):
        return [found for key, item in value.items() if key != "access_key" for found in _secrets_in(item)]
    return [value] if isinstance(value, str) else []
