-- fleet_world. Every statement may run again.
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists ops;
grant usage on schema marts to bi_reader;
grant select on all tables in schema marts to bi_reader;
alter default privileges in schema marts grant select on tables to bi_reader;
-- Exchange objects seen and loaded: an object is due while its etag is not the one that was loaded.
create table if not exists ops.exchange_object (
    key text primary key,
    region text not null,
    release text not null,
    day date not null,
    etag text not null,
    loaded_etag text,
    rows bigint,
    loaded_at timestamptz
);
-- An object that breaks the release's contract is refused once, not again and again; mart_etag is what the marts show.
alter table ops.exchange_object add column if not exists refused_etag text;
alter table ops.exchange_object add column if not exists refused_reason text;
alter table ops.exchange_object add column if not exists mart_etag text;
-- The release utilisation_day as loaded, one region and day replaced at a time: contracts.derived has the columns.
create table if not exists staging.utilisation_day (
    region text not null,
    day date not null,
    device_type text not null,
    cohort bigint not null,
    devices bigint not null,
    records double precision not null,
    engine_h double precision not null,
    moving_h double precision not null,
    distance_km double precision not null,
    loaded_at timestamptz not null default now(),
    primary key (region, day, device_type)
);
