-- fleet_R, how machines are used and kept in repair: who drives when, and what is due. Every statement may run again.
-- When a fleet works, by day of the week (1 Monday to 7 Sunday) in the region's time zone. A fleet without a row says nothing
-- of it. A night is two rows: until 24:00, and from 00:00 of the next day.
create table if not exists registry.work_hours (
    fleet_id text not null references registry.fleet,
    weekday integer not null check (weekday between 1 and 7),
    starts time not null,
    ends time not null check (ends > starts),
    primary key (fleet_id, weekday, starts)
);
-- Times in which whoever has the device drives for themselves.
create table if not exists registry.private_time (
    device_id text not null references registry.device on delete cascade,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    entered_by text not null,
    entered_at timestamptz not null default now(),
    primary key (device_id, starts_at)
);
-- What is to be done to devices of a fleet, make and model, each of them null for all, and after how much of what.
create table if not exists registry.service_plan (
    plan_id text primary key check (plan_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    task text not null check (task <> ''),
    fleet_id text references registry.fleet,
    make text,
    model text,
    every_km double precision check (every_km > 0),
    every_engine_h double precision check (every_engine_h > 0),
    every_days integer check (every_days > 0),
    check (num_nonnulls(every_km, every_engine_h, every_days) > 0)
);
create table if not exists registry.service_done (
    device_id text not null references registry.device on delete cascade,
    plan_id text not null references registry.service_plan on delete cascade,
    done_on date not null,
    entered_by text not null,
    entered_at timestamptz not null default now(),
    primary key (device_id, plan_id, done_on)
);

-- What of this changes a mart makes its days due, as a change of a device does (ops.registry_change_of_day).
create or replace function ops.note_change_of_days(days date[]) returns void language sql as $$
    insert into ops.registry_change_of_day as c
        select d.day, clock_timestamp() + interval '2 s' from (select distinct unnest(days) as day order by 1) d
        on conflict (day) do update set changed_at = excluded.changed_at
        where c.changed_at < excluded.changed_at - interval '1 s'
$$;
-- Who has a device: the days on which it reported since, and all of them where it is the first who does.
create or replace function ops.note_driver_change() returns trigger language plpgsql as $$
declare
    of_device text := coalesce(new.device_id, old.device_id);
    since timestamptz := least(new.valid_from, old.valid_from);
begin
    perform ops.note_change_of_days(array(
        select day from staging.device_day where device_id = of_device and (
            day >= (since - interval '1 day')::date or not exists (
                select from registry.device_subject s where s.device_id = of_device and s.valid_from < since
            )
        )
    ));
    return null;
end
$$;
-- Private times: the days of trips and episodes that they touch. The days looked at leave room for any time zone.
create or replace function ops.note_private_time() returns trigger language plpgsql as $$
declare
    of_device text := coalesce(new.device_id, old.device_id);
    starts timestamptz := least(new.starts_at, old.starts_at);
    ends timestamptz := greatest(new.ends_at, old.ends_at);
    first_day date := (starts - interval '3 days')::date;
    last_day date := (ends + interval '1 day')::date;
begin
    perform ops.note_change_of_days(array(
        select day from staging.trip where device_id = of_device
            and day between first_day and last_day and start_ts < ends and end_ts > starts
        union
        select day from staging.episode where device_id = of_device
            and day between first_day and last_day and start_ts < ends and end_ts > starts
    ));
    return null;
end
$$;
-- What is due to be serviced has no days: a build of any day tells it anew.
create or replace function ops.note_service_change() returns trigger language plpgsql as $$
begin
    perform ops.note_change_of_days(array(select max(day) from ops.applied where target = 'marts' having max(day) is not null));
    return null;
end
$$;
do $$
begin
    if not exists (select from pg_trigger where tgname = 'note_driver_change') then
        create constraint trigger note_driver_change after insert or update or delete on registry.device_subject
            deferrable initially deferred for each row execute function ops.note_driver_change();
    end if;
    if not exists (select from pg_trigger where tgname = 'note_private_time') then
        create constraint trigger note_private_time after insert or update or delete on registry.private_time
            deferrable initially deferred for each row execute function ops.note_private_time();
    end if;
    if not exists (select from pg_trigger where tgname = 'note_service_plan') then
        create constraint trigger note_service_plan after insert or update or delete on registry.service_plan
            deferrable initially deferred for each row execute function ops.note_service_change();
        create constraint trigger note_service_done after insert or update or delete on registry.service_done
            deferrable initially deferred for each row execute function ops.note_service_change();
    end if;
end
$$;

-- What people did is for those alone who are entered for it: bi_reader, which reads every other mart, does not read it.
do $$
begin
    if to_regclass('marts.driver_day') is not null then
        revoke all on marts.driver_day from bi_reader;
    end if;
    if exists (select from pg_roles where rolname = 'driver_reader') then
        grant usage on schema marts to driver_reader;
        if to_regclass('marts.driver_day') is not null then
            grant select on marts.driver_day to driver_reader;
        end if;
    end if;
end
$$;
