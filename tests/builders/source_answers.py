"""Questions of docs/how-to/ask-the-marts.md answered from a published file alone, by DuckDB: no code of the product.

An answer has the columns of the question's query, so that both can be compared row by row. Where a query has
`current_date`, both take the day after the file's last. Replay enters the file's cars as cars of fleet `envirocar`;
each is available on the days on which it reports.
"""

import re
from pathlib import Path
from typing import Any

import duckdb

from contracts.regions import find_region
from tests.builders.real_data import PLACEABLE, RealFile

Rows = list[tuple[Any, ...]]
PAGE = Path(__file__).parents[2] / "docs/how-to/ask-the-marts.md"
_QUESTION = re.compile(r"\*\*(\d+)\. .*?```sql\n(.*?)```", re.DOTALL)

_RECORDS = """
create table sent as select distinct * exclude ({left_out}) from read_parquet('{path}') {placeable};
create table record as
    select device_id, ts, lat, lon, kmh, (ts at time zone '{zone}')::date as day, ts at time zone '{zone}' as local_ts,
        last_value(case when rpm >= 0 then rpm end ignore nulls) over held as rpm,
        last_value(lph ignore nulls) over held as lph
    from (select device_id, ts, any_value(lat) as lat, any_value(lon) as lon, any_value("Speed") as kmh,
            any_value("Rpm") as rpm, any_value("Consumption") as lph
        from sent group by 1, 2)
    window held as (partition by device_id order by ts range between interval 300 seconds preceding and current row);
"""
"""An engine's speed and a fuel rate hold until the next, for five minutes at most; -1 is enviroCar's "no reading"."""

_DERIVED = """
create table step as
    select * exclude (way_km), case when way_km / seconds * 3600 <= 300 then way_km end as km,
        case when seconds <= 60 then kmh > 3
            else seconds <= 3600 and way_km > 0.05 and way_km / seconds * 3600 > 3 end as moves
    from (select *, epoch(next_ts - ts) as seconds, greatest(coalesce(kmh, 0), coalesce(next_kmh, 0)) as faster_kmh,
            2 * 6371.0088 * asin(sqrt(pow(sin(radians(next_lat - lat) / 2), 2)
                + cos(radians(lat)) * cos(radians(next_lat)) * pow(sin(radians(next_lon - lon) / 2), 2))) as way_km
        from (select *, lead(ts) over one as next_ts, lead(lat) over one as next_lat, lead(lon) over one as next_lon,
                lead(kmh) over one as next_kmh, lead(day) over one as next_day
            from record window one as (partition by device_id order by ts)))
    where next_day = day;
create table trip as
    select device_id, min(day) as day, min(local_ts) as start_ts, epoch(max(next_ts) - min(ts)) / 60 as minutes,
        sum(km) as km
    from (select *, sum(begins) over (partition by device_id order by ts) as number
        from (select *, case when epoch(ts - lag(next_ts) over (partition by device_id order by ts)) < 300
                then 0 else 1 end as begins
            from step where moves))
    group by device_id, number having sum(km) >= 0.2;
create table device_day as
    select device_id, day, records, fastest_kmh, km, engine_s, litres, trips
    from (select device_id, (ts at time zone '{zone}')::date as day, count(*) as records from sent group by 1, 2)
    join (select device_id, day, max(kmh) as fastest_kmh from record group by 1, 2) using (device_id, day)
    left join (select device_id, day,
            sum(km) filter (where km > 0.1 or moves or (seconds <= 60 and faster_kmh > 3)) as km,
            sum(seconds) filter (where seconds <= 3600 and (rpm > 0 or (rpm is null and moves))) as engine_s,
            sum(lph * seconds) filter (where seconds <= 3600) / 3600 as litres
        from step group by 1, 2) using (device_id, day)
    left join (select device_id, day, count(*) as trips from trip group by 1, 2) using (device_id, day);
"""
"""A step is the time between two records. Up to a minute the speed says whether the car moves, up to an hour the way
between its ends; of more than an hour nothing but the way is known. A step counts as way where the car moves, or where
it is longer than 100 m, and is no faster than 300 km/h. A trip ends after 300 s without motion."""

ANSWERS: dict[int, str] = {
    1: "select 'envirocar', round(sum(km)) from device_day where day > {today} - 7",
    2: """select device_id, round(sum(km)) from device_day where day >= date_trunc('month', {today})
        group by 1 order by 2 desc limit 10""",
    3: """select 'envirocar', date_trunc('month', day)::date, round(100 * sum(engine_s) / sum(86400), 1)
        from device_day group by 2 order by 2""",
    5: "select 'envirocar', count(*) filter (where engine_s > 0), count(*) from device_day",
    10: "select 'envirocar', count(*), round(avg(km), 1), round(avg(minutes)) from trip",
    11: """select device_id, round(km, 1) from trip where hour(start_ts) >= 22 or hour(start_ts) < 5
        order by start_ts desc limit 50""",
    12: """select device_id, count(*), round(sum(km)) from trip where isodow(day) > 5
        group by 1 order by 3 desc limit 20""",
    13: """select device_id, count(*), max(fastest_kmh) from device_day where fastest_kmh > 120
        group by 1 order by 2 desc""",
    16: "select 'car', round(100 * sum(litres) / sum(km), 1) from device_day where litres is not null",
    18: "select device_id, max(day) from device_day group by 1 having max(day) < {today} - 3 order by 2",
    19: """select 'envirocar', day, count(*), count(*), sum(records), sum(records) from device_day
        where day = {today} - 1 group by day""",
}
"""By the number of the question."""
SHOWN: dict[int, tuple[int, ...]] = {11: (1, 3)}
"""Columns of a question's answer that the source can give, where these are not its first."""
_SUMS = """select sum(records)::bigint as records, sum(km) as distance, sum(engine_s) / 3600 as engine_hours,
    sum(litres) as fuel, sum(trips)::bigint as trips, max(fastest_kmh) as highest_speed,
    count(*) * 24.0 as available_hours from device_day"""


class SourceAnswers:
    """The answers of one file, and the queries of the page as they were on the day after its last record."""

    def __init__(self, file: RealFile) -> None:
        zone = find_region(file.region).time_zone
        self._source = duckdb.connect()
        self._source.execute("set timezone = 'UTC'")
        left_out = ", ".join(file.left_out)
        records = _RECORDS.format(path=file.path, zone=zone, left_out=left_out, placeable=PLACEABLE)
        self._source.execute(records)
        self._source.execute(_DERIVED.format(zone=zone))
        self.today = self._source.execute("select max(day) + 1 from record").fetchone()[0]  # type: ignore[index]

    def answer(self, number: int) -> Rows:
        """By the file alone."""
        return self._source.execute(ANSWERS[number].format(today=f"date '{self.today}'")).fetchall()

    def question(self, number: int) -> str:
        """The query of the page."""
        found = {int(one): query for one, query in _QUESTION.findall(PAGE.read_text(encoding="utf-8"))}
        return found[number].replace("current_date", f"date '{self.today}'")

    def sums(self) -> dict[str, int | float]:
        """Over the whole file, by the name of the metric; whole numbers are counts."""
        found = self._source.execute(_SUMS)
        return dict(zip([one[0] for one in found.description or ()], found.fetchone() or (), strict=True))
