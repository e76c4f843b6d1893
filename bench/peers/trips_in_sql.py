"""Trips by window functions, as an analyst would write them: shares no code with lake/derive.

An interval is the time from one position to the next. Up to a minute the speeds at its ends say whether the device
moved, beyond the distance does; a trip ends after five minutes without motion or an hour without a record, and is at
least 200 m long.
"""

from pathlib import Path

import duckdb
import pyarrow as pa

_TRIPS = """
with once as (
    select
        device_id, ts, first(lat order by place) as lat, first(lon order by place) as lon,
        first(kmh order by place) as kmh
    from records where not (abs(lat) < 1e-6 and abs(lon) < 1e-6) group by device_id, ts
), steps as (
    select
        device_id, ts, lead(ts) over device as next_ts,
        (epoch_ms(lead(ts) over device) - epoch_ms(ts)) / 1000.0 as s,
        coalesce(greatest(kmh, lead(kmh) over device), -1) as fastest,
        2 * 6371.0088 * asin(least(1, sqrt(
            pow(sin(radians(lead(lat) over device - lat) / 2), 2)
            + cos(radians(lat)) * cos(radians(lead(lat) over device))
              * pow(sin(radians(lead(lon) over device - lon) / 2), 2)
        ))) as km
    from once window device as (partition by device_id order by ts)
), judged as (
    select *, coalesce(s <= 3600 and km / s * 3600 <= 300 and case
        when s <= 60 and fastest >= 0 then fastest > 3
        else km > 0.05 and km / s * 3600 > 3
    end, false) as moves
    from steps where next_ts is not null
), after_rest as (
    select *, max(case when moves then next_ts end) over (
        partition by device_id order by ts rows between unbounded preceding and 1 preceding
    ) as moved_until
    from judged
), numbered as (
    select *, sum(case when moves and (moved_until is null or epoch_ms(ts) - epoch_ms(moved_until) >= 300000)
        then 1 else 0 end) over (partition by device_id order by ts) as trip
    from after_rest
), spans as (
    select device_id, trip, min(ts) filter (where moves) as start_ts, max(next_ts) filter (where moves) as end_ts
    from numbered where trip > 0 group by device_id, trip
)
select
    spans.device_id, spans.start_ts, spans.end_ts,
    coalesce(sum(km) filter (where moves or km > 0.1), 0) as distance_km,
    coalesce(sum(s) filter (where moves), 0) as moving_s
from spans join numbered using (device_id, trip)
where numbered.ts < spans.end_ts
group by all having distance_km >= 0.2
order by all
"""


def records_of(path: Path, where: str, kmh: str) -> pa.Table:
    """Rows of a published file: device_id, ts, lat, lon, kmh and place in it. kmh: an expression of its columns."""
    query = f"""select device_id, ts, lat, lon, kmh, row_number() over () as place from (
        select device_id, ts, lat::double as lat, lon::double as lon, ({kmh})::double as kmh from read_parquet($path)
        where {where} and lat is not null and lon is not null)"""
    with duckdb.connect() as connection:
        return _in_utc(connection.sql(query, params={"path": str(path)}).to_arrow_table())


def trips_of(records: pa.Table) -> pa.Table:
    """The trips of such rows: device_id, start_ts, end_ts, distance_km, moving_s."""
    with duckdb.connect() as connection:
        connection.register("records", records)
        return _in_utc(connection.sql(_TRIPS).to_arrow_table())


def _in_utc(rows: pa.Table) -> pa.Table:
    columns = [
        column.cast(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(column.type) else column
        for column in rows.columns
    ]
    return pa.table(columns, names=rows.column_names)
