-- scope: database
-- What every system shares: the casts behind typed columns, the ledger, and the state of each entity's sync.

create schema if not exists sync;

-- Casts. Immutable for good: a stored column does not follow an edited cast, so a better one gets a new name (to_moment2).
-- Each accepts declared formats only and answers NULL to anything else; the text stays in raw_json and a check goes red.
-- They run for every column of every row that is written. Bodies that are immutable throughout are SQL, which the planner
-- inlines; those around a cast that Postgres calls stable cannot be inlined and are PL/pgSQL (3 us a call; as SQL 14).
-- Lengths are tested beside the pattern: a bound in it ({1,60}) makes matching ten times slower.

create function sync.to_text(value text) returns text
  language sql immutable parallel safe return value;

create function sync.to_whole(value text) returns bigint
  language sql immutable parallel safe
  return case when value ~ '^-?[0-9]+$' and length(ltrim(value, '-')) <= 18 then value::bigint end;

create function sync.to_key(value text) returns bigint
  language sql immutable parallel safe
  return case when value ~ '^[0-9]+$' and length(value) <= 18 then value::bigint end;

create function sync.to_amount(value text) returns numeric
  language sql immutable parallel safe
  return case when value ~ '^-?[0-9]+(\.[0-9]+)?$' and length(value) <= 60 then value::numeric end;

create function sync.to_flag(value text) returns boolean
  language sql immutable parallel safe
  return case when value in ('true', '1') then true when value in ('false', '0') then false end;

create function sync.days_in_month(year integer, month integer) returns integer
  language sql immutable parallel safe
  return case
    when month in (4, 6, 9, 11) then 30
    when month <> 2 then 31
    when year % 4 = 0 and (year % 100 <> 0 or year % 400 = 0) then 29
    else 28 end;

-- YYYY-MM-DD
create function sync.to_day(value text) returns date
  language plpgsql immutable strict parallel safe
  as $$ begin
    return case when value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'
                 and substr(value, 1, 4) <> '0000'
                 and substr(value, 9, 2)::int <= sync.days_in_month(substr(value, 1, 4)::int, substr(value, 6, 2)::int)
      then make_date(substr(value, 1, 4)::int, substr(value, 6, 2)::int, substr(value, 9, 2)::int) end;
  end $$;

-- ISO 8601 with a zone: 2026-07-09T15:17:59.905Z. A time without a zone is not a moment: see to_local_moment.
-- Nor is one outside the years 1 to 9999 of UTC: clients cannot read it.
create function sync.to_moment(value text) returns timestamptz
  language plpgsql immutable strict parallel safe
  as $$ begin
    -- The form that nearly all take, told without a pattern: a third of the time.
    if translate(value, '123456789', '000000000') = '0000-00-00T00:00:00.000Z'
       and substr(value, 1, 4) between '0002' and '9998' and substr(value, 6, 2) between '01' and '12'
       and substr(value, 9, 2) between '01' and '28' and substr(value, 12, 2) < '24'
       and substr(value, 15, 2) < '60' and substr(value, 18, 2) < '60' then
      return value::timestamptz;
    end if;
    return case when value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])$'
                 and (substr(value, 9, 2)::int <= 28 or sync.to_day(substr(value, 1, 10)) is not null)
      then case when substr(value, 1, 4)::int between 2 and 9998
                  or (substr(value, 1, 4) <> '0000'
                      and value::timestamptz >= timestamptz '0001-01-01 00:00:00+00'
                      and value::timestamptz < timestamptz '10000-01-01 00:00:00+00')
           then value::timestamptz end end;
  end $$;

-- YYYY-MM-DD HH:MM[:SS] in a zone that the source does not tell.
create function sync.to_local_moment(value text) returns timestamp
  language plpgsql immutable strict parallel safe
  as $$ begin
    return case when value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$'
                 and sync.to_day(substr(value, 1, 10)) is not null
      then value::timestamp end;
  end $$;

-- The columns that every mirrored table shares: `create table t (like sync.record including all, ...)`.
create table sync.record (
  raw_json      jsonb not null,
  seen          bigint not null,
  sync_id       bigint not null,
  payload_hash  bytea,
  payload_shape text,
  first_seen_at timestamptz not null default now(),
  synced_at     timestamptz not null default now()
);
-- Of a load, pglz would be a third. lz4 costs a quarter of that and packs as tightly; a server built without it (the
-- embedded one) keeps long records as they are, in twice the room.
do $$ begin
  alter table sync.record alter raw_json set compression lz4;
exception when feature_not_supported then
  alter table sync.record alter raw_json set storage external;
end $$;
comment on column sync.record.raw_json is 'The record as the source sent it.';
comment on column sync.record.seen is 'Sequence number drawn just before the request that read this content left.';
comment on column sync.record.sync_id is 'The row of sync.logs that wrote this content.';
comment on column sync.record.payload_hash is 'Hash of the bytes as they came, within payload_shape.';
comment on column sync.record.payload_shape is 'The read whose bytes were hashed.';
comment on column sync.record.first_seen_at is 'When this record was first written here.';
comment on column sync.record.synced_at is 'When this content was written; a sync that finds nothing new leaves it.';

create sequence sync.seen as bigint;

-- One row per entity and sync.
create table sync.logs (
  id                bigint generated always as identity primary key,
  account           text not null,
  system            text not null,
  entity            text not null,
  kind              text not null,
  status            text not null default 'running',
  started_at        timestamptz not null default clock_timestamp(),
  finished_at       timestamptz,
  fetched           bigint not null default 0,
  created           bigint not null default 0,
  updated           bigint not null default 0,
  unchanged         bigint not null default 0,
  stale             bigint not null default 0,
  repeated          bigint not null default 0,
  rejected          bigint not null default 0,
  deleted           bigint not null default 0,
  requests          bigint not null default 0,
  throttled_seconds numeric not null default 0,
  rows              bigint,
  commits           bigint not null default 0,
  sweep             bigint,
  error             text,
  note              text,
  run_id            text,
  constraint kind_is_known check (kind in ('full', 'incremental', 'selective', 'webhook', 'reconcile', 'reverse')),
  constraint status_is_known check (status in ('running', 'success', 'partial', 'failed', 'lost')),
  constraint every_record_is_exactly_one_of_these
    check (fetched = created + updated + unchanged + stale + repeated + rejected),
  constraint a_finished_sync_says_when check ((status = 'running') = (finished_at is null))
);
create index logs_by_entity on sync.logs (account, entity, id desc);
create index logs_by_run on sync.logs (run_id) where run_id is not null;
create index logs_by_sweep on sync.logs (account, entity, sweep) where sweep is not null;

-- One row per entity: where its sync stands.
create table sync.metadata (
  account             text not null,
  entity              text not null,
  system              text not null,
  last_full_at        timestamptz,
  last_incremental_at timestamptz,
  watermark           timestamptz,
  rows                bigint,
  cursor              jsonb,
  fields              jsonb,
  lease_holder        text,
  lease_fence         bigint not null default 0,
  lease_until         timestamptz,
  last_error          text,
  last_error_at       timestamptz,
  primary key (account, entity)
);
comment on column sync.metadata.watermark is 'The newest source time up to which everything was surely read; never our own clock.';
comment on column sync.metadata.fields is 'The top-level fields met so far: {known, steady, gone}.';
comment on column sync.metadata.cursor is 'Where an unfinished sweep goes on: {sweep, started, position}.';

-- What a sweep saw, page by page; logged, because deletions are derived from it.
create table sync.sightings (
  account text not null,
  entity  text not null,
  sweep   bigint not null,
  page    text not null,
  records integer not null,
  keys    text[] not null,
  primary key (account, entity, sweep, page)
);

create table sync.tombstones (
  account       text not null,
  entity        text not null,
  key           text not null,
  raw_json      jsonb not null,
  evidence      text not null,
  deleted_at    timestamptz not null default now(),
  first_seen_at timestamptz not null,
  sync_id       bigint not null,
  primary key (account, entity, key)
);

-- Records that were refused, and the exact bytes of those that were kept after mending.
create table sync.rejected (
  account  text not null,
  entity   text not null,
  digest   bytea not null,
  key      text,
  field    text,
  reason   text not null,
  kept     boolean not null,
  size     integer not null,
  payload  bytea not null,
  sync_id  bigint not null,
  first_at timestamptz not null default now(),
  last_at  timestamptz not null default now(),
  primary key (account, entity, digest)
);
create index rejected_by_sync on sync.rejected (sync_id);

-- Parents that a child points at and that are not here.
create table sync.missing_parents (
  account       text not null,
  entity        text not null,
  key           text not null,
  child_entity  text not null,
  child_columns text not null,
  state         text not null default 'waiting',
  evidence      text,
  tries         integer not null default 0,
  waiting_since timestamptz not null default now(),
  next_try_at   timestamptz not null default now(),
  primary key (account, entity, key, child_entity, child_columns),
  constraint state_is_known check (state in ('waiting', 'unreachable', 'gone'))
);

-- Rate limits, shared by every process: a GCRA (leaky bucket as a meter) per account and bucket.
create table sync.budgets (
  account      text not null,
  bucket       text not null,
  next_free    timestamptz not null default '-infinity',
  paused_until timestamptz not null default '-infinity',
  primary key (account, bucket)
);

-- Reserves `slots` requests, `gap` seconds apart, and answers how many seconds to wait before the first. Reserves
-- nothing, and answers granted = 0 with the time to come back, while the bucket is paused or promised further ahead
-- than `horizon` seconds: a process that dies takes no more than that with it.
create function sync.take(of_account text, of_bucket text, slots integer, gap double precision,
                          burst double precision, horizon double precision,
                          out granted integer, out wait double precision)
  language plpgsql as $$
declare
  moment timestamptz := clock_timestamp();
  free timestamptz;
  paused timestamptz;
begin
  select b.next_free, b.paused_until into free, paused
    from sync.budgets b where b.account = of_account and b.bucket = of_bucket for update;
  if not found then
    insert into sync.budgets (account, bucket) values (of_account, of_bucket) on conflict do nothing;
    select b.next_free, b.paused_until into free, paused
      from sync.budgets b where b.account = of_account and b.bucket = of_bucket for update;
  end if;
  moment := greatest(moment, clock_timestamp());
  if paused > moment then
    granted := 0;
    wait := extract(epoch from paused - moment);
    return;
  end if;
  free := greatest(free, moment - make_interval(secs => burst * gap));
  if free > moment + make_interval(secs => horizon) then
    granted := 0;
    wait := extract(epoch from free - moment) - horizon / 2;
    return;
  end if;
  granted := slots;
  wait := greatest(0, extract(epoch from free - moment));
  update sync.budgets b set next_free = free + make_interval(secs => slots * gap)
    where b.account = of_account and b.bucket = of_bucket;
end $$;

create function sync.pause(of_account text, of_bucket text, seconds double precision) returns void
  language sql
begin atomic
  insert into sync.budgets (account, bucket, paused_until)
    values (of_account, of_bucket, clock_timestamp() + make_interval(secs => seconds))
    on conflict (account, bucket) do update set paused_until = greatest(budgets.paused_until, excluded.paused_until);
end;

create table sync.activity_logs (
  id         bigint generated always as identity primary key,
  account    text not null,
  at         timestamptz not null default now(),
  activity   text not null,
  details    jsonb not null default '{}'
);

-- Dashboards that were built on the former tables go on running.
create view public.sync_logs as
  select id, system, account, entity as entity_type, entity as object_type, kind as sync_type,
         fetched as records_fetched, fetched as records_processed, created as records_created,
         updated as records_updated, unchanged + stale + repeated as records_skipped, rejected as records_failed,
         deleted as records_deleted, started_at as sync_started_at, started_at, finished_at as completed_at,
         (extract(epoch from finished_at - started_at) * 1000)::bigint as duration_ms,
         status, error as error_message, run_id
    from sync.logs;

create view public.sync_metadata as
  select system, account, entity as entity_type, entity as object_type, last_full_at as last_full_sync_at,
         last_incremental_at as last_incremental_sync_at, watermark, rows as total_records,
         last_error as error_message, last_error_at
    from sync.metadata;

create view public.activity_logs as
  select id, account, at as created_at, activity, details from sync.activity_logs;
