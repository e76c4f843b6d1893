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
