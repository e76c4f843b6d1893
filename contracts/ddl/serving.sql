-- fleet_R, what users of the read API enter. A zone's ring is never changed: it ends, and another begins, so that what was
-- inside on a day of the past stays as it was.
create table if not exists registry.zone (
    zone_id uuid primary key default gen_random_uuid(),
    fleet_id text not null references registry.fleet,
    name text not null,
    ring jsonb not null,
    valid_from timestamptz not null,
    valid_to timestamptz check (valid_to >= valid_from),
    created_by text not null,
    created_at timestamptz not null default now(),
    ended_by text
);
create index if not exists zone_of_fleet on registry.zone (fleet_id, zone_id);

-- The order in which days of the marts were first seen in their present form: the cursor of the feed. ops.applied says when a
-- day was built, which may be before that is committed; a number that is given under a lock is in the order of commits.
create sequence if not exists ops.feed_place;
create table if not exists ops.feed_day (
    day date primary key,
    applied_at timestamptz not null,
    place bigint not null unique
);
create or replace function ops.place_feed_days() returns void language plpgsql as $$
begin
    if not exists (
        select from ops.applied a left join ops.feed_day f on f.day = a.day
        where a.target = 'marts' and f.applied_at is distinct from a.applied_at
    ) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('ops.feed_day', 0));
    insert into ops.feed_day as f (day, applied_at, place)
    select changed.day, changed.applied_at, nextval('ops.feed_place')
    from (select day, applied_at from ops.applied where target = 'marts' order by applied_at, day) changed
    where not exists (select from ops.feed_day k where k.day = changed.day and k.applied_at = changed.applied_at)
    on conflict (day) do update set applied_at = excluded.applied_at, place = excluded.place;
end
$$;

-- Guest links: live state of named devices for a while, for whoever has the secret, which is kept as its SHA-256. fleets are those
-- of the devices when the link was made: a device that moves to another fleet leaves the link.
create table if not exists registry.share (
    share_id uuid primary key default gen_random_uuid(),
    hash bytea not null unique,
    name text not null,
    devices text[] not null,
    fleets text[] not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null check (valid_to > valid_from),
    created_by text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    revoked_by text
);

-- Where customers want to be told what happens. Deliveries are signed with what the region's key, the id and the generation make:
-- no secret is stored. Turning it raises the generation.
create table if not exists registry.webhook (
    webhook_id uuid primary key default gen_random_uuid(),
    fleet_id text not null references registry.fleet,
    url text not null,
    kinds text[] not null,
    generation integer not null default 1,
    turned_at timestamptz,
    created_by text not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    ended_by text
);
create index if not exists webhook_of_fleet on registry.webhook (fleet_id, webhook_id);

-- What there is to tell. An event's id is made of what happened, so that what is seen twice is told once; rows go after a week.
create table if not exists ops.event (
    event_id uuid primary key,
    fleet_id text not null,
    kind text not null,
    zone_id uuid,
    device_id text,
    happened_at timestamptz not null,
    body text not null,
    made_at timestamptz not null default now()
);
create index if not exists event_of_zone on ops.event (zone_id, device_id, happened_at desc);
create index if not exists event_made on ops.event (made_at);
create table if not exists ops.delivery (
    webhook_id uuid not null references registry.webhook on delete cascade,
    event_id uuid not null references ops.event on delete cascade,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'given_up')),
    attempts integer not null default 0,
    next_at timestamptz not null default now(),
    answer text,
    primary key (webhook_id, event_id)
);
create index if not exists delivery_due on ops.delivery (next_at) where state = 'waiting';
create index if not exists delivery_of_event on ops.delivery (event_id);
