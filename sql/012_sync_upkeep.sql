-- scope: database
-- Upkeep: what was erased and by whom, what forgotten syncs amounted to, and links that lead nowhere.

-- One row per `sync-assets forget`: that it was done, not to whom.
create table sync.erasures (
  id         bigint generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  account    text not null,
  entity     text not null,
  records    bytea[] not null,
  by         text not null,
  blocked    boolean not null,
  rows       jsonb not null,
  constraint somebody_did_it check (by <> '')
);
comment on table sync.erasures is 'Receipts of erased records; they hold nothing of the record.';
comment on column sync.erasures.records is 'SHA-256 of account/entity/key, for the record and whoever was merged into it: who knows a key can look its receipt up.';
comment on column sync.erasures.blocked is 'Whether the record stays away even where its source still has it.';
comment on column sync.erasures.rows is 'How many rows of each table were erased or emptied.';
create index erasures_by_record on sync.erasures using gin (records);

-- What clean_up takes from sync.logs is summed here, in the same statement: created minus deleted and merged is still the
-- number of rows that live.
create table sync.forgotten_logs (
  account   text not null,
  system    text not null,
  entity    text not null,
  kind      text not null,
  month     date not null,
  syncs     bigint not null,
  failed    bigint not null,
  fetched   bigint not null,
  created   bigint not null,
  updated   bigint not null,
  unchanged bigint not null,
  stale     bigint not null,
  repeated  bigint not null,
  rejected  bigint not null,
  deleted   bigint not null,
  merged    bigint not null,
  requests  bigint not null,
  seconds   numeric not null,
  primary key (account, entity, kind, month),
  constraint every_record_is_exactly_one_of_these
    check (fetched = created + updated + unchanged + stale + repeated + rejected)
);
comment on table sync.forgotten_logs is 'Sums of the syncs that are no longer in sync.logs, by the month in which they began (UTC).';
comment on column sync.forgotten_logs.failed is 'Those of them that failed or were lost.';

create view sync.orphans as
  select account, child_entity as entity, child_columns as link, entity as leads_to, state, count(*) as parents,
         (array_agg(key order by waiting_since, key))[1:5] as sample, min(waiting_since) as since,
         mode() within group (order by evidence) as evidence
    from sync.missing_parents group by 1, 2, 3, 4, 5;
comment on view sync.orphans is 'Links that lead nowhere; the job orphan_report counts their rows too.';

create index tombstones_over on sync.tombstones (deleted_at) where state <> 'erased';
create index rejected_over on sync.rejected (last_at);
create index activity_logs_over on sync.activity_logs (at);
create index activity_logs_by_record on sync.activity_logs (account, entity, key) where key is not null;
create index aliases_into on sync.aliases (account, entity, into_key);
