"""A region's credentials reach its own data, and the services themselves refuse them everything else."""

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts import names
from contracts.regions import load_regions

US, EU = "us", "eu"


def aws(settings, service, region):
    kwargs = getattr(settings, service).client_kwargs(load_regions()[region].aws_region)
    return boto3.client(service, **kwargs, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def us(stack):
    return stack.settings(US)


@pytest.fixture
def exchanged(stack):
    """An object that eu released, which us must not reach."""
    key = names.exchange_prefix(EU) + "limits/day.parquet"
    client = aws(stack.settings(EU), "s3", EU)
    client.put_object(Bucket="exchange", Key=key, Body=b"released")
    yield key
    client.delete_object(Bucket="exchange", Key=key)


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def read_from_start(kinesis, stream):
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    return iterator["ShardIterator"]


class TestKinesis:
    def test_us_writes_and_reads_its_own_stream(self, us):
        kinesis = aws(us, "kinesis", US)
        kinesis.put_record(StreamName="telemetry-us", Data=b"{}", PartitionKey="limits")
        shards = [shard["ShardId"] for shard in kinesis.list_shards(StreamName="telemetry-us")["Shards"]]
        assert len(shards) == us.row.stream_shards
        answer = kinesis.get_records(ShardIterator=read_from_start(kinesis, "telemetry-us"))
        assert "Records" in answer

    @pytest.mark.parametrize("call", ["list_shards", "describe_stream_summary", "describe_stream"])
    def test_us_is_refused_eus_stream(self, us, call):
        assert refused(getattr(aws(us, "kinesis", EU), call), StreamName="telemetry-eu")

    def test_us_cannot_put_on_eus_stream(self, us):
        put = aws(us, "kinesis", EU).put_record
        assert refused(put, StreamName="telemetry-eu", Data=b"{}", PartitionKey="limits")

    def test_an_iterator_of_eu_is_worth_nothing_to_us(self, stack, us):
        iterator = read_from_start(aws(stack.settings(EU), "kinesis", EU), "telemetry-eu")
        assert refused(aws(us, "kinesis", EU).get_records, ShardIterator=iterator)
        own = "arn:aws:kinesis:us-east-2:000000000000:stream/telemetry-us"
        assert refused(aws(us, "kinesis", EU).get_records, ShardIterator=iterator, StreamARN=own)

    def test_a_wrong_secret_is_refused(self, us):
        kwargs = us.kinesis.client_kwargs(us.row.aws_region) | {"aws_secret_access_key": "wrong"}
        with pytest.raises(ClientError, match="ignature"):
            boto3.client("kinesis", **kwargs).list_shards(StreamName="telemetry-us")

    def test_us_may_not_reshard_delete_or_make_itself_a_user(self, us):
        kinesis = aws(us, "kinesis", US)
        assert refused(kinesis.delete_stream, StreamName="telemetry-us")
        assert refused(kinesis.create_stream, StreamName="telemetry-other", ShardCount=1)
        iam = boto3.client("iam", **us.kinesis.client_kwargs("us-east-1"))
        assert refused(iam.create_access_key, UserName="region-eu")


class TestDynamoDB:
    def test_us_commits_to_its_own_leases_and_ledger_in_one_transaction(self, us):
        dynamodb = aws(us, "dynamodb", US)
        lease, entry = {"shard_id": {"S": "limits"}}, {"shard_id": {"S": "limits"}, "last_seq": {"S": "1"}}
        writes = [
            {"Put": {"TableName": "leases-us", "Item": lease}},
            {"Put": {"TableName": "ledger-us", "Item": entry}},
        ]
        dynamodb.transact_write_items(TransactItems=writes)
        assert dynamodb.get_item(TableName="ledger-us", Key=entry)["Item"] == entry
        dynamodb.delete_item(TableName="ledger-us", Key=entry)
        dynamodb.delete_item(TableName="leases-us", Key=lease)

    @pytest.mark.parametrize("table", ["leases-eu", "ledger-eu"])
    def test_us_is_refused_eus_tables(self, us, table):
        dynamodb = aws(us, "dynamodb", EU)
        item = {"shard_id": {"S": "x"}, "last_seq": {"S": "1"}}
        assert refused(dynamodb.scan, TableName=table)
        assert refused(dynamodb.describe_table, TableName=table)
        assert refused(dynamodb.put_item, TableName=table, Item=item)
        transaction = [{"Put": {"TableName": table, "Item": item}}]
        assert refused(dynamodb.transact_write_items, TransactItems=transaction)


class TestS3:
    def test_us_works_in_its_own_bucket_and_prefix(self, us):
        s3 = aws(us, "s3", US)
        for bucket, key in (("lake-us", "limits/a"), ("exchange", "region=us/limits/a")):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
            found = s3.list_objects_v2(Bucket=bucket, Prefix=key.rpartition("/")[0] + "/")["Contents"]
            assert [item["Key"] for item in found] == [key]
            s3.delete_object(Bucket=bucket, Key=key)

    def test_us_is_refused_eus_bucket(self, us):
        s3 = aws(us, "s3", US)
        assert refused(s3.list_objects_v2, Bucket="lake-eu")
        assert refused(s3.get_object, Bucket="lake-eu", Key="landing/a")
        assert refused(s3.put_object, Bucket="lake-eu", Key="a", Body=b"")
        assert refused(s3.delete_bucket, Bucket="lake-eu")

    def test_us_is_refused_what_eu_released(self, us, exchanged):
        s3 = aws(us, "s3", US)
        assert refused(s3.get_object, Bucket="exchange", Key=exchanged)
        assert refused(s3.put_object, Bucket="exchange", Key=exchanged, Body=b"")
        assert refused(s3.delete_object, Bucket="exchange", Key=exchanged)
        assert refused(s3.list_objects_v2, Bucket="exchange", Prefix="region=eu/")
        assert refused(s3.list_objects_v2, Bucket="exchange")
        assert refused(s3.copy_object, Bucket="lake-us", Key="stolen", CopySource=f"exchange/{exchanged}")

    def test_deleting_many_at_once_is_no_way_around(self, stack, us, exchanged):
        answer = aws(us, "s3", US).delete_objects(Bucket="exchange", Delete={"Objects": [{"Key": exchanged}]})
        assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
        assert aws(stack.settings(EU), "s3", EU).head_object(Bucket="exchange", Key=exchanged)

    def test_world_reads_the_exchange_and_changes_nothing(self, stack, exchanged):
        world = boto3.client("s3", **stack.world_settings().s3.client_kwargs("eu-central-1"))
        assert world.get_object(Bucket="exchange", Key=exchanged)["Body"].read() == b"released"
        assert exchanged in [item["Key"] for item in world.list_objects_v2(Bucket="exchange")["Contents"]]
        assert refused(world.put_object, Bucket="exchange", Key=exchanged, Body=b"")
        assert refused(world.delete_object, Bucket="exchange", Key=exchanged)
        assert refused(world.list_objects_v2, Bucket="lake-eu")


class TestPostgres:
    @staticmethod
    def in_database(settings, database):
        return settings.postgres_dsn.get_secret_value().rpartition("/")[0] + f"/{database}"

    def test_us_owns_its_databases(self, us):
        with psycopg.connect(us.postgres_dsn.get_secret_value()) as connection:
            connection.execute("create table staging.limits (a int)")
            connection.rollback()
        with psycopg.connect(us.privacy_dsn.get_secret_value()) as connection:
            assert connection.execute("select count(*) from privacy.suppression").fetchone()

    @pytest.mark.parametrize("database", ["fleet_eu", "privacy_eu", "fleet_world", "dagster", "postgres", "template1"])
    def test_us_is_refused_every_other_database(self, us, database):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(self.in_database(us, database))

    def test_a_wrong_password_is_refused(self, us):
        dsn = us.postgres_dsn.get_secret_value()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn, password="wrong")

    def test_bi_reader_reads_marts_and_nothing_else(self, stack, bi_dsn):
        with psycopg.connect(stack.settings(US).postgres_dsn.get_secret_value(), autocommit=True) as owner:
            owner.execute("create table if not exists marts.limits as select 7 as a")
            with psycopg.connect(bi_dsn, autocommit=True) as reader:
                assert reader.execute("select a from marts.limits").fetchone() == (7,)
                for statement in (
                    "select * from registry.device",
                    "select * from ops.merge",
                    "create table staging.mine (a int)",
                    "create table public.mine (a int)",
                    "update marts.limits set a = 8",
                    "set role us",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        reader.execute(statement)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="staging"):
                    reader.execute("select * from staging.device_day")
            owner.execute("drop table marts.limits")

    @pytest.mark.parametrize("database", ["fleet_eu", "fleet_world", "privacy_us", "dagster", "postgres"])
    def test_a_region_s_bi_reader_is_refused_every_other_database(self, bi_dsn, database):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(bi_dsn.rpartition("/")[0] + f"/{database}")

    def test_nobody_logs_in_as_what_all_bi_readers_have_in_common(self, bi_dsn):
        with pytest.raises(psycopg.OperationalError, match=r"failed|not permitted to log in"):
            psycopg.connect(bi_dsn, user="bi_reader")

    @pytest.fixture
    def bi_dsn(self, stack):
        from stack import status

        return status(stack.state, secrets=True)["regions"][US]["postgres"]["bi_dsn"]


class TestRedis:
    @pytest.fixture
    def client(self, us):
        client = redis.Redis.from_url(us.redis_url.get_secret_value())
        yield client
        client.delete("us:limits", "us:geo:limits")
        client.close()

    def test_us_uses_its_own_keys_scripts_included(self, client):
        client.set("us:limits", "1")
        client.geoadd("us:geo:limits", (13.4, 52.5, "a"))
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "us:limits") == b"1"
        assert client.register_script("return redis.call('GET', KEYS[1])")(keys=["us:limits"]) == b"1"
        assert client.publish("us:gateway", "x") == 0
        with client.pipeline(transaction=True) as pipe:
            assert pipe.get("us:limits").geopos("us:geo:limits", "a").execute()[0] == b"1"

    def test_us_is_refused_keys_of_eu(self, client):
        for command in (
            ("GET", "eu:latest:x"),
            ("SET", "eu:latest:x", "1"),
            ("DEL", "eu:geo"),
            ("COPY", "eu:latest:x", "us:limits"),
            ("EVAL", "return redis.call('GET', 'eu:latest:x')", "0"),
        ):
            with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError)) as caught:
                client.execute_command(*command)
            assert "permission" in str(caught.value).lower() or "acl" in str(caught.value).lower()

    @pytest.mark.parametrize("command", ["SCAN 0", "KEYS *", "RANDOMKEY", "DBSIZE"])
    def test_us_may_not_walk_the_key_space(self, client, command):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())

    @pytest.mark.parametrize(
        "command",
        ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "CONFIG GET *", "ACL LIST", "SHUTDOWN", "CLIENT LIST", "MONITOR"],
    )
    def test_us_may_not_administer(self, client, command):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())

    @pytest.mark.parametrize("command", ["SCRIPT FLUSH", "FUNCTION LIST", "PUBLISH eu:x 1", "SUBSCRIBE eu:x"])
    def test_us_may_not_disturb_or_overhear_others(self, client, command):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())

    def test_nobody_gets_in_without_a_password(self, us):
        url = us.redis_url.get_secret_value()
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis.from_url("redis://" + url.rpartition("@")[2]).ping()
