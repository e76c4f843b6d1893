-- fleet_R. Every statement may run again. The Iceberg SQL catalog keeps its own tables in schema iceberg.
create schema if not exists iceberg;
create schema if not exists registry;
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists ops;

grant usage on schema marts to bi_reader;
grant select on all tables in schema marts to bi_reader;
alter default privileges in schema marts grant select on tables to bi_reader;

create table if not exists registry.fleet (
    fleet_id text primary key,
    name text not null
);
-- What counts as a trip for the fleet's devices, where it is not the region's rule (docs/adr/0119).
alter table registry.fleet add column if not exists trip_stop_s integer check (trip_stop_s > 0);
alter table registry.fleet add column if not exists trip_gap_s integer check (trip_gap_s > 0);
alter table registry.fleet add column if not exists trip_least_m double precision check (trip_least_m >= 0);
alter table registry.fleet add column if not exists trip_least_s double precision check (trip_least_s >= 0);
-- The company whose fleet it is, by one name in all regions. A fleet without one is a holder of its own.
alter table registry.fleet add column if not exists customer text check (customer ~ '^[A-Za-z0-9._:-]{1,64}$');
create table if not exists registry.device (
    device_id text primary key,
    fleet_id text not null references registry.fleet,
    make text,
    model text,
    type text not null check (type in ('car', 'van', 'truck', 'bus', 'train', 'machine', 'unknown')),
    fuel text,
    valid_from timestamptz not null default now()
);
-- What a device was and whose, period by period; written by the trigger alone. valid_to is empty in the present one.
create table if not exists registry.device_period (
    device_id text not null references registry.device on delete cascade,
    valid_from timestamptz not null,
    valid_to timestamptz,
    fleet_id text not null,
    make text,
    model text,
    type text not null,
    fuel text,
    primary key (device_id, valid_from)
);
insert into registry.device_period (device_id, valid_from, fleet_id, make, model, type, fuel)
    select device_id, valid_from, fleet_id, make, model, type, fuel from registry.device d
    where not exists (select from registry.device_period p where p.device_id = d.device_id);
create or replace function registry.keep_device_period() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into registry.device_period (device_id, valid_from, fleet_id, make, model, type, fuel)
        values (new.device_id, new.valid_from, new.fleet_id, new.make, new.model, new.type, new.fuel);
        return null;
    end if;
    -- A second change in one transaction, one before the period begins, or a rectification (GDPR Art. 16, a setting of its
    -- transaction) corrects the period that is there.
    update registry.device_period set (fleet_id, make, model, type, fuel)
        = (new.fleet_id, new.make, new.model, new.type, new.fuel)
        where device_id = new.device_id and valid_to is null
        and (valid_from >= now() or current_setting('fleetlake.correcting', true) = 'on');
    if not found then
        update registry.device_period set valid_to = now() where device_id = new.device_id and valid_to is null;
        insert into registry.device_period (device_id, valid_from, fleet_id, make, model, type, fuel)
        values (new.device_id, now(), new.fleet_id, new.make, new.model, new.type, new.fuel);
    end if;
    return null;
end
$$;
create or replace trigger keep_first_device_period after insert on registry.device
    for each row execute function registry.keep_device_period();
create or replace trigger keep_device_period after update on registry.device for each row
    when ((old.fleet_id, old.make, old.model, old.type, old.fuel)
        is distinct from (new.fleet_id, new.make, new.model, new.type, new.fuel))
    execute function registry.keep_device_period();
-- Devices whose home is another region, as HMACs (contracts.residency): their records are set aside when they arrive here.
create table if not exists registry.away_device (
    device_hmac bytea primary key,
    home text not null,
    since timestamptz not null default now()
);
create table if not exists registry.subject (
    subject_id text primary key
);
create table if not exists registry.device_subject (
    device_id text not null references registry.device,
    subject_id text not null references registry.subject,
    valid_from timestamptz not null default now(),
    primary key (device_id, subject_id)
);
-- When the person gave the device back; empty while they have it.
alter table registry.device_subject add column if not exists valid_to timestamptz;

-- The derived tables of history as loaded, one business day replaced at a time: contracts.derived has the columns.
create table if not exists staging.trip (
    trip_id text not null,
    device_id text not null,
    day date not null,
    start_ts timestamptz not null,
    end_ts timestamptz not null,
    start_lat double precision,
    start_lon double precision,
    end_lat double precision,
    end_lon double precision,
    distance_km double precision not null,
    moving_s double precision not null,
    idle_s double precision not null,
    max_speed_kmh double precision,
    fuel_l double precision,
    records bigint not null,
    loaded_at timestamptz not null default now(),
    primary key (day, trip_id)
);
create index if not exists trip_of_device on staging.trip (device_id, day);
create table if not exists staging.device_day (
    device_id text not null,
    day date not null,
    records bigint not null,
    flagged bigint not null,
    late bigint not null,
    first_ts timestamptz not null,
    last_ts timestamptz not null,
    engine_s double precision not null,
    moving_s double precision not null,
    idle_s double precision not null,
    off_s double precision not null,
    distance_gps_km double precision not null,
    distance_odometer_km double precision,
    max_speed_kmh double precision,
    fuel_l double precision,
    trips integer not null,
    unknown_s double precision,
    loaded_at timestamptz not null default now(),
    primary key (device_id, day)
);
alter table staging.device_day add column if not exists unknown_s double precision;
alter table if exists marts.device_day add column if not exists unknown_s double precision;
create index if not exists device_day_of_day on staging.device_day (day);

-- A copy of the leases' watermarks. The consumer is its one writer; updated_at is when the leases were read. DynamoDB holds the truth.
create table if not exists ops.watermarks (
    shard_id text primary key,
    position text not null,
    watermark timestamptz not null,
    ended boolean not null,
    updated_at timestamptz not null default now()
);
-- The ledger's landed objects and what became of them; taken in by cursor, shard by shard.
create table if not exists ops.landing_cursor (
    shard_id text primary key,
    last_seq text not null
);
-- Whether the shard has ended and every entry of it was taken in.
alter table ops.landing_cursor add column if not exists complete boolean not null default false;
-- When every shard of the ledger was listed, those without a lease too.
create table if not exists ops.ledger_listing (
    listed_at timestamptz primary key
);
create table if not exists ops.landing_object (
    key text primary key,
    shard_id text not null,
    last_seq text not null,
    hour timestamptz not null,
    rows bigint not null,
    bytes bigint not null,
    stragglers bigint not null,
    min_ts timestamptz,
    max_ts timestamptz,
    committed_at timestamptz not null,
    on_time_merged timestamptz,
    stragglers_merged timestamptz
);
create index if not exists landing_object_open on ops.landing_object (hour)
    where on_time_merged is null or stragglers_merged is null;
-- Bloom filters over the devices of the object's stragglers, while they wait, and of all its rows, while it is not merged.
alter table ops.landing_object add column if not exists straggler_devices bytea;
alter table ops.landing_object add column if not exists devices bytea;
-- Landing objects that no merge can read, and why. Merges leave them out until the object, or the contract that it
-- was read with, is another one. etag is empty where the bucket does not have the object.
create table if not exists ops.set_aside (
    key text primary key,
    reason text not null,
    etag text not null,
    contract text not null,
    set_aside_at timestamptz not null default now()
);
-- Where each shard's ledger begins: entries up to last_seq are proven and removed, or about to be; these are their sums.
create table if not exists ops.ledger_beginning (
    shard_id text primary key,
    last_seq text not null,
    entries bigint not null,
    user_records bigint not null,
    landed bigint not null,
    rejected bigint not null,
    suppressed bigint not null,
    moved_at timestamptz not null default now()
);
create or replace view ops.mergeable_object as
    select o.key, o.hour, o.rows, o.stragglers, o.min_ts, o.max_ts, o.committed_at, o.on_time_merged, o.stragglers_merged
    from ops.landing_object o where not exists (select from ops.set_aside s where s.key = o.key);
-- One row a merge commit of history.telemetry; a commit that was rolled back has none. sequence is Iceberg's.
create table if not exists ops.merge (
    snapshot_id bigint primary key,
    kind text not null check (kind in ('on_time', 'stragglers')),
    objects bigint not null,
    rows_read bigint not null,
    inserted bigint not null,
    duplicates bigint not null,
    committed_at timestamptz not null
);
alter table ops.merge add column if not exists sequence bigint;
-- Kind 'erased': what an erasure took out, in negative numbers, so that the sums are those of the rows that are there. Of
-- rewritten landing objects snapshot_id is a negative number, as they are in no snapshot.
alter table ops.merge drop constraint if exists merge_kind_check;
alter table ops.merge add constraint merge_kind_check check (kind in ('on_time', 'stragglers', 'erased'));
-- The Iceberg tables' figures, a row each at every maintenance.
create table if not exists ops.table_health (
    measured_at timestamptz not null default now(),
    "table" text not null,
    rows bigint not null,
    files bigint not null,
    bytes bigint not null,
    small_files bigint not null,
    delete_files bigint not null,
    manifests bigint not null,
    snapshots bigint not null,
    metadata_bytes bigint not null,
    largest_day_rows bigint not null,
    days bigint not null,
    primary key (measured_at, "table")
);
create table if not exists ops.harvest_cursor (
    table_name text primary key,
    snapshot_id bigint not null,
    sequence bigint not null
);
-- Business days: stale while changed.sequence > derived.sequence. Sequences are those of history.telemetry.
create table if not exists ops.changed (
    day date primary key,
    sequence bigint not null,
    changed_at timestamptz not null default now()
);
-- UTC hours of the newest days: to be packed again while changed_hour.sequence > packed_hour.sequence or where they are
-- packed in another form than the present one (contracts.derived.PACKED_FORM).
create table if not exists ops.changed_hour (
    hour timestamptz primary key,
    sequence bigint not null
);
create table if not exists ops.packed_hour (
    hour timestamptz primary key,
    sequence bigint not null,
    form integer not null
);
create table if not exists ops.derived (
    day date primary key,
    sequence bigint not null,
    derived_at timestamptz not null default now()
);
-- Grows whenever the day's derived rows differ, at the same history too: a derivation with equal rows is not passed on.
alter table ops.derived add column if not exists rows_sequence bigint;
-- Days whose derived rows a run is replacing. A run that dies leaves its rows: such a day is due, and the next run takes
-- it up as changed.
create table if not exists ops.deriving (
    day date not null,
    run uuid not null,
    since timestamptz not null default now(),
    primary key (day, run)
);
alter table ops.deriving add column if not exists taken_up boolean not null default false;
-- Days that reached a target ('staging', 'marts', 'utilisation_day'), with the rows_sequence that they were derived at.
create table if not exists ops.applied (
    target text not null,
    day date not null,
    sequence bigint not null,
    rows bigint not null,
    applied_at timestamptz not null default now(),
    primary key (target, day)
);
create table if not exists staging.episode (
    episode_id text not null,
    device_id text not null,
    day date not null,
    kind text not null,
    start_ts timestamptz not null,
    end_ts timestamptz not null,
    ended boolean not null,
    lat double precision,
    lon double precision,
    duration_s double precision not null,
    fuel_l double precision,
    value double precision,
    loaded_at timestamptz not null default now(),
    primary key (day, episode_id)
);
create table if not exists staging.fault_day (
    device_id text not null,
    day date not null,
    code text not null,
    first_ts timestamptz not null,
    last_ts timestamptz not null,
    records bigint not null,
    loaded_at timestamptz not null default now(),
    primary key (day, device_id, code)
);
create index if not exists fault_day_of_device on staging.fault_day (device_id, code, day);
-- The one way to write ops.applied, for loads, marts and releases: never backwards, so that of two runs on one day
-- the newer rows stay recorded. made_at null is now.
create or replace function ops.mark_applied(
    to_target text, of_day date, at_sequence bigint, row_count bigint, made_at timestamptz default null
) returns void language sql as $$
    insert into ops.applied as a (target, day, sequence, rows, applied_at)
    values (to_target, of_day, at_sequence, row_count, coalesce(made_at, now()))
    on conflict (target, day) do update
    set sequence = excluded.sequence, rows = excluded.rows, applied_at = excluded.applied_at
    where a.sequence <= excluded.sequence
$$;
-- Losses that reconciliation found and a person accepted. Rows are added, never changed: see ops.keep_accepted_losses.
-- records is null where nobody counted them.
create table if not exists ops.accepted_loss (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('forgotten', 'trimmed', 'unlisted')),
    place text not null,
    records bigint,
    who text not null check (who <> ''),
    why text not null check (why <> ''),
    accepted_at timestamptz not null default now()
);
alter table ops.accepted_loss drop constraint if exists accepted_loss_kind_check;
alter table ops.accepted_loss add constraint accepted_loss_kind_check
    check (kind in ('forgotten', 'trimmed', 'unlisted', 'acknowledged'));
create or replace function ops.keep_accepted_losses() returns trigger language plpgsql as $$
begin
    raise exception 'ops.accepted_loss is append-only: an accepted loss stays on record';
end
$$;
create or replace trigger keep_accepted_losses before update or delete or truncate on ops.accepted_loss
    for each statement execute function ops.keep_accepted_losses();
create table if not exists ops.reconciliation (
    reconciled_at timestamptz primary key default now(),
    ok boolean not null,
    stages jsonb not null,
    differences jsonb not null
);
-- What was in the stores by then is what the reconciliation has seen.
alter table ops.reconciliation add column if not exists began_at timestamptz;
-- The last reconciliation that agreed, as far as the next one builds on it: one row, what it saw of history by UTC event
-- day, and of the buckets' objects. high, low: sums of digests modulo 2^64. They name no device.
create table if not exists ops.proof (
    one boolean primary key default true check (one),
    version integer not null,
    table_uuid text not null,
    time_zone text not null,
    losses integer not null,
    whole_at timestamptz not null,
    proven_at timestamptz not null
);
create table if not exists ops.proven_day (
    day date primary key,
    files bytea not null,
    rows bigint not null,
    high numeric(20) not null,
    low numeric(20) not null,
    counted jsonb not null
);
create table if not exists ops.proven_object (
    key text primary key,
    size bigint not null,
    etag text not null,
    rows bigint not null,
    first_day date,
    last_day date
);
-- The days that marts have rows of: those that were loaded, at the sequence they were derived at, and at sequence 0 those
-- without a record between them and up to the day before `today`. A longer silence than 31 days has no rows after them:
-- one record with a date of years ago does not make a thousand silent days.
create or replace function ops.business_days(today date) returns table (day date, sequence bigint)
language sql stable as $$
    with loaded as (
        select a.day, a.sequence, lead(a.day) over (order by a.day) as next_day from ops.applied a where a.target = 'staging'
    )
    select l.day, l.sequence from loaded l
    union all
    select silent.day::date, 0 from loaded l cross join lateral generate_series(
        l.day + 1,
        least(l.day + 31, case when l.next_day is not null then l.next_day - 1 when l.day >= today - 31 then today - 1 else l.day end),
        interval '1 day'
    ) as silent (day)
$$;
-- Facts of business days that a change of the registry touches: those of the hour and later, or of one day. Marts of such
-- a day are due again where they were built before. changed_at lies two seconds ahead of the commit, so that a build
-- that began just before it does not pass for a later one; one that begins within them is done twice. A row is written once
-- a second at most: an import of all devices is one transaction, and each version of a row is passed by all later ones.
create table if not exists ops.registry_change (
    since timestamptz primary key,
    changed_at timestamptz not null
);
create table if not exists ops.registry_change_of_day (
    day date primary key,
    changed_at timestamptz not null
);
create or replace function ops.note_registry_change() returns trigger language plpgsql as $$
begin
    insert into ops.registry_change as c values (date_trunc('hour', new.valid_from), clock_timestamp() + interval '2 s')
        on conflict (since) do update set changed_at = excluded.changed_at
        where c.changed_at < excluded.changed_at - interval '1 s';
    -- A device that reported before it was registered: its first period reaches back to its first day.
    insert into ops.registry_change_of_day as c
        select day, clock_timestamp() + interval '2 s' from staging.device_day where device_id = new.device_id
            and not exists (select from registry.device_period p
                where p.device_id = new.device_id and p.valid_from < new.valid_from)
        order by day
        on conflict (day) do update set changed_at = excluded.changed_at
        where c.changed_at < excluded.changed_at - interval '1 s';
    return null;
end
$$;
do $$
begin
    if not exists (select from pg_trigger where tgname = 'note_registry_change') then
        create constraint trigger note_registry_change after insert or update of fleet_id, make, model, type, fuel
            on registry.device_period deferrable initially deferred
            for each row execute function ops.note_registry_change();
    end if;
end
$$;
-- The fleet and type that a device had on the day: older marts get them when a day is built again.
alter table if exists marts.device_day add column if not exists fleet_id text;
alter table if exists marts.device_day add column if not exists device_type text;
alter table if exists marts.trip add column if not exists fleet_id text;
alter table if exists marts.trip add column if not exists device_type text;
alter table if exists marts.idling_event add column if not exists fleet_id text;
alter table if exists marts.fuel_event add column if not exists fleet_id text;
alter table if exists marts.dim_device add column if not exists valid_to timestamptz;
alter table if exists marts.dim_device add column if not exists is_current boolean not null default true;
do $$
declare
    of_device text := (select conname from pg_constraint
        where conrelid = to_regclass('marts.dim_device') and contype = 'p' and cardinality(conkey) = 1);
begin
    if of_device is not null then
        execute format('alter table marts.dim_device drop constraint %I, add primary key (device_id, valid_from)', of_device);
    end if;
end
$$;
