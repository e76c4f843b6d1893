-- fleet_R, the rights of the people behind the devices: how long, on hold, restricted. Every statement may run again.
-- Days that a fleet's, or one device's, data is kept; null is the region's number (regions.toml). GDPR Art. 5(1)(e).
alter table registry.fleet add column if not exists retention_days integer check (retention_days > 0);
alter table registry.device add column if not exists retention_days integer check (retention_days > 0);
-- Data that no retention and no erasure may remove while the hold stands, as for a claim: GDPR Art. 17(3)(e).
create table if not exists registry.legal_hold (
    hold_id bigint generated always as identity primary key,
    device_id text,
    fleet_id text,
    reason text not null check (reason <> ''),
    placed_by text not null check (placed_by <> ''),
    placed_at timestamptz not null default now(),
    lifted_by text,
    lifted_at timestamptz,
    check ((device_id is null) <> (fleet_id is null))
);
-- Devices whose data is stored and nothing else: not shown, not aggregated, not released. GDPR Art. 18(1), (2).
create table if not exists registry.restriction (
    device_id text primary key,
    since timestamptz not null default now()
);
create or replace view registry.shown_device as
    select device_id, fleet_id, type, make, model, fuel from registry.device d
    where not exists (select from registry.restriction r where r.device_id = d.device_id);
-- Rows of history that retention removed, by the commit that did and UTC event day. They name no device.
create table if not exists ops.expired (
    snapshot_id bigint not null,
    sequence bigint not null,
    day date not null,
    rows bigint not null,
    primary key (snapshot_id, day)
);
-- What each run of retention removed, by store: rows, or objects.
create table if not exists ops.retention_run (
    ended_at timestamptz primary key default now(),
    today date not null,
    removed jsonb not null
);
