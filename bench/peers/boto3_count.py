"""A peer that only counts: boto3's GetRecords in a loop over all shards, one process."""

import json
import sys
import time

import boto3


def main(endpoint: str) -> None:
    """Read every shard to its tip; print records and seconds as JSON."""
    client = boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="bench",
        aws_secret_access_key="b",
    )
    started, records = time.perf_counter(), 0
    for shard in client.list_shards(StreamName="bench")["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName="bench", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=iterator, Limit=10_000)
            records += len(answer["Records"])
            if not answer["Records"]:
                break
            iterator = answer["NextShardIterator"]
    print(json.dumps({"records": records, "seconds": time.perf_counter() - started, "cpu": time.process_time()}))


if __name__ == "__main__":
    main(sys.argv[1])
