"""Any text, and any list of texts, can become a field of the contract by one line of contracts/record.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
_BEFORE = '    Column("engine_on", pa.bool_()'
_LINES = """    Column("driver", pa.string(), Privacy.IDENTIFIER, "Who drives."),
    Column("firmware", pa.string(), Privacy.TECHNICAL, "Version of the device's program."),
    Column("tags", pa.list_(pa.string()), _HOW, "A list."),
    Column("code_a_in_zz", pa.string(), _HOW, "A name that the compiled reader's hash does not tell from the next."),
    Column("cods_a_in_zz", pa.string(), _HOW, "The next."),
"""
_DECODE = """
import json
from contracts.record import CONTRACT, LANDING_SCHEMA, TEXTS
from ingest.batch import KinesisRecord
from ingest.decode import JsonDecoder
from ingest.decode.plain import PlainReader
from ingest.landing import ShardBuffer
from ingest.live.values import latest_values
from ingest.records import Payloads
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis, packed
from tests.ingest.decode.oracle import expected
import numpy as np

assert [text.name for text in TEXTS] == ["driver_id", "driver", "firmware", "code_a_in_zz", "cods_a_in_zz"]
sent = [
    {}, {"driver": "Ada"}, {"firmware": "1.2", "driver": ""}, {"driver": None, "firmware": "x" * 500},
    {"driver": "\\u00e4"}, {"driver": 5}, {"driver": "Bob", "lat": "no number"}, {"driver": "Cy", "signals": {"a": 1}},
    {"tags": ["x", "y"], "fault_codes": ["P0"]}, {"tags": []}, {"tags": 1}, {"code_a_in_zz": "1", "cods_a_in_zz": "2"},
    {"cods_a_in_zz": "2", "codx_a_in_zz": "3"},
]
datas = [json.dumps({"device_id": f"d{n}", "ts": ARRIVAL_MS - n} | more).encode() for n, more in enumerate(sent)]
datas += [b'{"device_id":"d9","ts":%d,"driver":"twice","driver":"last"}' % ARRIVAL_MS]
plain = PlainReader().read(Payloads.of(datas)).plain
assert plain.tolist() == [1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0], plain
for decoder in (JsonDecoder(), JsonDecoder(plain=False)):
    for records in (kinesis(datas), packed(kinesis(datas))):
        batch = decoder.decode(SHARD, records)
        rows = batch.rows.to_pylist()
        assert batch.rows.schema == LANDING_SCHEMA and len(rows) == len(datas)
        for row, data in zip(rows, datas, strict=True):
            want = expected(data, ARRIVAL_MS)
            named = ("driver", "firmware", "flags", "tags", "fault_codes", "code_a_in_zz", "cods_a_in_zz")
            assert [row[name] for name in named] == [want[name] for name in named]
        assert rows[5]["attributes"] == [("driver", "5")] or dict(rows[5]["attributes"]) == {"driver": "5"}
buffer = ShardBuffer(SHARD)
buffer.append(batch)
assert buffer.flush(0, 1, "w").landed == len(datas)
values = [json.loads(value) for value in latest_values(batch.rows, np.arange(3), np.full(3, -1))]
assert values[1]["driver"] == "Ada" and values[2]["firmware"] == "1.2"
"""


def test_a_text_column_is_read_by_every_reader_and_lands(tmp_path: Path) -> None:
    for room in ("contracts", "ingest"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    record = tmp_path / "contracts" / "record.py"
    text = record.read_text(encoding="utf-8")
    assert text.count(_BEFORE) == 1
    record.write_text(text.replace(_BEFORE, _LINES + _BEFORE), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = subprocess.run(
        [sys.executable, "-c", _DECODE],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
