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
-- from_ts, to_ts: only records of that event time, where given. A lifted entry keeps its place in the order of versions, and
-- not its hash. Writers hold the advisory lock fleetlake.privacy.suppression: versions are seen in their order.
alter table privacy.suppression add column if not exists from_ts timestamptz;
alter table privacy.suppression add column if not exists to_ts timestamptz;
alter table privacy.suppression add column if not exists lifted_at timestamptz;
alter table privacy.suppression add column if not exists request_id uuid;
alter table privacy.suppression drop constraint if exists suppression_device_hmac_key;
create unique index if not exists suppression_once on privacy.suppression
    (device_hmac, coalesce(from_ts, '-infinity'), coalesce(to_ts, 'infinity'));
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
-- Requests of data subjects, and what was done about each. subject, scope: in clear while the request is open, and empty
-- once it is done; subject_hmac finds it again for whoever asks by name. due_at: one month (GDPR Art. 12(3)).
create table if not exists privacy.requests (
    request_id uuid primary key default gen_random_uuid(),
    kind text not null check (kind in ('erase', 'export', 'restrict', 'retention', 'lift')),
    subject_kind text not null check (subject_kind in ('device', 'subject', 'fleet', 'region')),
    subject text,
    subject_hmac bytea not null,
    from_ts timestamptz,
    to_ts timestamptz,
    scope jsonb,
    state text not null default 'open' check (state in ('open', 'running', 'done', 'expired')),
    who text not null check (who <> ''),
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now() + interval '30 days',
    done_at timestamptz,
    expires_at timestamptz,
    steps jsonb not null default '{}',
    counts jsonb not null default '{}',
    evidence jsonb
);
create index if not exists requests_of_subject on privacy.requests (subject_hmac, created_at);
create index if not exists requests_open on privacy.requests (due_at) where state in ('open', 'running');

-- Every act of privacy. Each row's hash is over the row and the hash of the one before, keyed: whoever changes, removes or
-- adds a row without the region's key breaks the chain there (`fleetlake audit verify`). detail is JSON, as it was hashed.
create table if not exists privacy.audit (
    id bigint primary key,
    at timestamptz not null,
    who text not null,
    act text not null,
    request_id uuid,
    detail text not null,
    previous bytea not null,
    hash bytea not null
);
create or replace function privacy.keep_audit() returns trigger language plpgsql as $$
begin
    raise exception 'privacy.audit is append-only: what was done stays on record';
end
$$;
-- Whoever owns the table has to be let make its trigger again, when these statements run again.
do $$
begin
    execute format('grant trigger on privacy.audit to %I', current_user);
end
$$;
create or replace trigger keep_audit before update or delete or truncate on privacy.audit
    for each statement execute function privacy.keep_audit();
do $$
begin
    execute format('revoke all on privacy.audit from %I', current_user);
    execute format('grant select, insert on privacy.audit to %I', current_user);
end
$$;
