-- privacy_R. Every statement may run again.
create schema if not exists privacy;
-- Who contributed to each published version of a cell, as HMACs that never leave the region.
create table if not exists privacy.release_cell (
    release text not null,
    day date not null,
    cell text not null,
    version integer not null,
    contributors bytea[] not null,
    published jsonb,
    frozen boolean not null default false,
    published_at timestamptz not null default now(),
    primary key (release, day, cell, version)
);
-- What each device of the cell added, and the contributors behind it, as HMACs (release.versions says how).
alter table privacy.release_cell add column if not exists devices bytea[];
-- release.marks.FORM of these devices; a cell of another form stands as it was published.
alter table privacy.release_cell add column if not exists form integer not null default 1;
-- Devices whose records are no longer accepted, as HMACs; version grows with each row.
create table if not exists privacy.suppression (
    version bigint generated always as identity primary key,
    device_hmac bytea not null unique,
    since timestamptz not null default now()
);
-- Who read which device's past through the API: the device as HMAC under the region's key. Rows are added, never changed.
create table if not exists privacy.past_read (
    id bigint generated always as identity primary key,
    read_at timestamptz not null default now(),
    subject text not null,
    token_id text not null,
    role text not null,
    device_hmac bytea not null,
    what text not null,
    from_ts timestamptz,
    to_ts timestamptz
);
create index if not exists past_read_of_device on privacy.past_read (device_hmac, id);
