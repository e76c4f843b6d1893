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
-- The releases as loaded, one region and day replaced at a time: contracts.derived has the columns.
create table if not exists staging.utilisation_day (
    region text not null,
    day date not null,
    device_type text not null,
    status text not null default 'published' check (status in ('published', 'withheld')),
    cohort bigint,
    devices bigint,
    records double precision,
    engine_h double precision,
    moving_h double precision,
    distance_km double precision,
    loaded_at timestamptz not null default now(),
    primary key (region, day, device_type)
);
-- A withheld cell is a row without values. It had no row before.
alter table staging.utilisation_day add column if not exists status text not null default 'published'
    check (status in ('published', 'withheld'));
alter table staging.utilisation_day alter column cohort drop not null, alter column devices drop not null,
    alter column records drop not null, alter column engine_h drop not null, alter column moving_h drop not null,
    alter column distance_km drop not null;
alter table if exists marts.utilisation_day add column if not exists status text not null default 'published';
do $$
begin
    if to_regclass('marts.utilisation_day') is not null then
        alter table marts.utilisation_day alter column cohort drop not null, alter column devices drop not null,
            alter column records drop not null, alter column engine_h drop not null,
            alter column moving_h drop not null, alter column distance_km drop not null;
    end if;
end
$$;
create table if not exists staging.customer_day (
    region text not null,
    day date not null,
    customer text not null,
    status text not null check (status in ('published', 'withheld')),
    cohort bigint,
    devices bigint,
    records double precision,
    engine_h double precision,
    moving_h double precision,
    distance_km double precision,
    loaded_at timestamptz not null default now(),
    primary key (region, day, customer)
);
-- Who may read which customer's totals: a role that logs in, entered by who runs the world. The function asks for the role
-- of the login, which SET ROLE does not change. It is a function and no view: a plan (EXPLAIN ANALYZE) of a view counts the
-- rows of other customers that a condition leaves, and so tells their amounts; of a function it shows what came out.
create schema if not exists customers;
create table if not exists customers.reader (
    role_name name not null,
    customer text not null,
    primary key (role_name, customer)
);
create or replace function customers.own_days() returns setof staging.customer_day
    language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.* from staging.customer_day c
    where exists (select from customers.reader r where r.role_name = session_user and r.customer = c.customer)
$$;
revoke all on function customers.own_days() from public;
create or replace view customers.utilisation_day with (security_barrier) as
    select c.customer, c.region, c.day, c.status, c.cohort, c.devices, c.records, c.engine_h, c.moving_h, c.distance_km
    from customers.own_days() c;
create or replace view customers.world_day with (security_barrier) as
    select
        customer,
        day,
        count(*) filter (where status = 'published') as regions_published,
        count(*) filter (where status = 'withheld') as regions_withheld,
        sum(devices)::bigint as devices,
        sum(records) as records,
        sum(engine_h) as engine_h,
        sum(moving_h) as moving_h,
        sum(distance_km) as distance_km
    from customers.utilisation_day
    group by customer, day;
do $$
begin
    if exists (select from pg_roles where rolname = 'customer_reader') then
        grant usage on schema customers to customer_reader;
        grant execute on function customers.own_days() to customer_reader;
        grant select on customers.utilisation_day, customers.world_day to customer_reader;
    end if;
end
$$;
-- The region table as the world's last load saw it, with how long a release waits.
create table if not exists ops.region (
    region text primary key,
    time_zone text not null,
    release_delay_days integer not null
);
-- What became of each region's release of each day. A view of the stores as they are: a day gets late by the clock.
create or replace view marts.release_status as
    with first as (
        select min(day) as day from ops.exchange_object where release = 'utilisation_day' and day > '2000-01-01'
    ),
    expected as (
        select
            r.region,
            d.day::date as day,
            (d.day::date + 1 + r.release_delay_days)::timestamp at time zone r.time_zone as due_at
        from ops.region r cross join first cross join lateral generate_series(
            first.day, (now() at time zone r.time_zone)::date - 1, interval '1 day'
        ) as d (day)
    ),
    cells as (
        select region, day, count(*) filter (where status = 'published') as published,
            count(*) filter (where status = 'withheld') as withheld
        from staging.utilisation_day group by region, day
    )
    select
        e.region,
        e.day,
        case
            when o.refused_etag = o.etag then 'refused'
            when o.etag = '' then 'withdrawn'
            when o.loaded_etag is not null and coalesce(c.published, 0) > 0 then 'released'
            when o.loaded_etag is not null then 'withheld'
            when e.due_at > now() then 'not due'
            when e.due_at > now() - interval '7 days' then 'late'
            else 'missing'
        end as status,
        e.due_at,
        coalesce(c.published, 0) as cells_published,
        coalesce(c.withheld, 0) as cells_withheld
    from expected e
    left join ops.exchange_object o on o.region = e.region and o.day = e.day and o.release = 'utilisation_day'
    left join cells c on c.region = e.region and c.day = e.day;
comment on view marts.release_status is
    'What became of each region''s release of each business day: released, withheld, not due, late, missing, refused or withdrawn.';
