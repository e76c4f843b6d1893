-- fleet_R, device access. The gateway reads who may speak; `fleetlake device` writes it.
alter table registry.fleet add column if not exists provisioning text not null default 'refuse'
    check (provisioning in ('refuse', 'pending', 'active'));
-- Overrides of the gateway's limits; null is the setting.
alter table registry.fleet add column if not exists messages_s double precision;
alter table registry.device add column if not exists messages_s double precision;
alter table registry.device add column if not exists access text not null default 'active'
    check (access in ('active', 'pending', 'revoked'));

-- Certificate authorities that vouch for a fleet's devices. ca_id is the SHA-256 of the certificate's DER, in hex.
create table if not exists registry.fleet_ca (
    ca_id text primary key,
    fleet_id text not null references registry.fleet,
    certificate text not null,
    added_at timestamptz not null default now(),
    removed_at timestamptz
);
-- Tokens as HMAC-SHA-256 of the secret. A device may have several, so that one can follow another.
create table if not exists registry.device_token (
    token_id bigint generated always as identity primary key,
    device_id text not null references registry.device,
    hash bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
create index if not exists device_token_of_device on registry.device_token (device_id);
-- Public keys (PEM) by which a device signs JWTs.
create table if not exists registry.device_key (
    key_id bigint generated always as identity primary key,
    device_id text not null references registry.device,
    public_key text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
create index if not exists device_key_of_device on registry.device_key (device_id);
-- Client certificates that are revoked before their end, while their device goes on with others: by the SHA-256 of the
-- certificate's DER, or its serial number, both in hex.
create table if not exists registry.revoked_certificate (
    device_id text not null references registry.device,
    certificate text not null,
    revoked_at timestamptz not null default now(),
    primary key (device_id, certificate)
);
-- Devices that a concentrator may speak for, besides itself.
create table if not exists registry.speaks_for (
    concentrator text not null references registry.device,
    device_id text not null references registry.device,
    primary key (concentrator, device_id)
);
-- Why a device of the registry was refused last.
create table if not exists registry.last_refusal (
    device_id text primary key,
    refused_at timestamptz not null,
    protocol text not null,
    reason text not null,
    detail text not null,
    refusals bigint not null
);
-- Each act on access. Rows are added, never changed.
create table if not exists registry.access_audit (
    id bigint generated always as identity primary key,
    done_at timestamptz not null default now(),
    who text not null,
    act text not null,
    device_id text,
    fleet_id text,
    detail text not null default ''
);
create or replace function registry.keep_access_audit() returns trigger language plpgsql as $$
begin
    raise exception 'registry.access_audit is append-only: what was done stays on record';
end
$$;
create or replace trigger keep_access_audit before delete or truncate on registry.access_audit
    for each statement execute function registry.keep_access_audit();
-- An erasure takes the device's name out of a row and leaves what was done, when and by whom (GDPR Art. 17(1), 5(2)).
create or replace function registry.erase_from_access_audit() returns trigger language plpgsql as $$
begin
    if current_setting('fleetlake.erasing', true) = 'yes' and new.device_id is null and new.detail = ''
        and (new.id, new.done_at, new.who, new.act, new.fleet_id)
            is not distinct from (old.id, old.done_at, old.who, old.act, old.fleet_id) then
        return new;
    end if;
    raise exception 'registry.access_audit is append-only: what was done stays on record';
end
$$;
create or replace trigger erase_from_access_audit before update on registry.access_audit
    for each row execute function registry.erase_from_access_audit();

-- User records that each process of the gateway acknowledged; written every few seconds and at its end.
create table if not exists ops.acknowledged (
    process text primary key,
    records bigint not null,
    started_at timestamptz not null,
    counted_at timestamptz not null
);
