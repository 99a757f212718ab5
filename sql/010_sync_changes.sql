-- scope: database
-- What happened to records, told once each in the transaction that wrote them; rules, and every run of one.

-- One row per change of a record. `before` and `after` are whole records as raw_json has them, so a record's rows are a
-- chain: what one leaves is what the next one finds.
create table sync.change_events (
  id          bigint generated always as identity primary key,
  account     text not null,
  system      text not null,
  entity      text not null,
  key         text not null,
  revision    bigint not null,
  kind        text not null,
  before      jsonb,
  after       jsonb,
  changed     text[] not null,
  occurred_at timestamptz not null,
  written_at  timestamptz not null default clock_timestamp(),
  origin      text not null default 'external',
  cause       bigint,
  depth       integer not null default 0,
  sync_id     bigint not null,
  rules_at    timestamptz,
  constraint change_events_once unique (account, entity, key, revision),
  constraint kind_is_known check (kind in ('created', 'updated', 'deleted', 'restored')),
  constraint origin_is_known check (origin in ('external', 'self')),
  constraint our_own_change_says_why check (origin = 'external' or cause is not null)
);
create index change_events_new on sync.change_events (account, entity, key, revision) where rules_at is null;
create index change_events_for_rules on sync.change_events (id) where rules_at is null;
create index change_events_caused on sync.change_events (cause) where cause is not null;
create index change_events_over on sync.change_events (written_at);
comment on table sync.change_events is 'What happened to records, for rules and sequences. Told only of entities that one of them listens to, and not of a first load.';
comment on column sync.change_events.revision is 'Counts a record''s changes.';
comment on column sync.change_events.before is 'NULL where there was no record; NULL too, once a person was erased.';
comment on column sync.change_events.changed is 'The top-level fields that differ.';
comment on column sync.change_events.occurred_at is 'By the source''s clock, where it tells.';
comment on column sync.change_events.origin is 'self: nothing but what we wrote ourselves, come back.';
comment on column sync.change_events.cause is 'The row of sync.outbox that led to it, or to a part of it.';
comment on column sync.change_events.depth is 'How many of our own reactions led to it; 0: none.';
comment on column sync.change_events.rules_at is 'When the rules were held against it.';

-- Which changes anybody wants to hear of. Nothing is told to nobody: an entity without a listener costs nothing.
create table sync.listeners (
  consumer text not null,
  system   text not null,
  account  text not null default '',
  entity   text not null,
  primary key (consumer, system, account, entity)
);
comment on column sync.listeners.account is 'Empty: every account of the system.';

-- Two writers met at a record that neither held: the second looks again. Database.transaction repeats on this.
create function sync.written_meanwhile() returns text language plpgsql as $$ begin
  raise exception 'a record was written meanwhile' using errcode = 'serialization_failure';
end $$;

-- The top-level fields in which two records differ, of those that are not left out.
create function sync.names_changed(before jsonb, after jsonb, left_out text[]) returns text[]
  language sql immutable parallel safe
  return (select coalesce(array_agg(name order by name), '{}')
            from (select jsonb_object_keys(coalesce(before, '{}'::jsonb) || coalesce(after, '{}'::jsonb)) as name) names
           where before -> name is distinct from after -> name and name <> all(left_out));

-- Fields of sync.outbox.sent are a record's own, or custom_fields.<id or code>, or tags.<name>.
create function sync.sent_as(field text) returns text
  language sql immutable parallel safe
  return case when field like 'custom\_fields.%' then 'custom_fields_values' when field like 'tags.%' then '_embedded'
         else field end;

-- Whether a record shows what we sent.
create function sync.shows(record jsonb, field text, sent jsonb) returns boolean
  language sql immutable parallel safe
  return case
    when field like 'tags.%' then
      coalesce(record #> '{_embedded,tags}' @> jsonb_build_array(jsonb_build_object('name', substr(field, 6))), false)
    when field like 'custom\_fields.%' then exists (
      select from jsonb_path_query(record, '$.custom_fields_values[*]') own
       where substr(field, 15) in (own ->> 'field_id', own ->> 'field_code')
         and (own #>> '{values,0,value}' = sent #>> '{}' or jsonb_typeof(sent) = 'array'))
    else record ->> field is not distinct from sent #>> '{}' end;

-- The letter of ours that a change shows: sent, not shown by an earlier change, and not settled before the record that
-- it replaces was read, for a read after that would have shown it. `names` are the fields that it explains. What we
-- create bears its letter's number in its text.
create function sync.own_write(of_account text, of_entity text, of_key text, after jsonb, changed text[],
                               held_at timestamptz, out id bigint, out depth integer, out names text[])
  language sql stable
begin atomic
  with letters as (
    select o.id, o.depth, array_agg(sync.sent_as(f.key)) as names
      from sync.outbox o cross join lateral jsonb_each(o.sent) f
     where (o.account, o.entity, o.key) = (of_account, of_entity, of_key) and o.sent is not null
       and o.state not in ('dead', 'dropped') and held_at is not null
       and (o.done_at is null or held_at <= o.done_at)
       and sync.sent_as(f.key) = any(changed) and sync.shows(after, f.key, f.value)
     group by o.id
    union all
    select o.id, o.depth, changed from sync.outbox o
     where held_at is null and o.account = of_account and o.sent is not null
       and o.id = sync.to_key(substring(after ->> 'text' from '\[#([0-9]{1,18})\]'))
  ), first_shown as (
    select l.* from letters l where not exists (select from sync.change_events e where e.cause = l.id)
  )
  select max(l.id), max(l.depth), array_agg(distinct n)
    from first_shown l cross join lateral unnest(l.names) n;
end;

-- Rules, each as it was when it ran: a key stays, its version is a hash of what it says.
create table sync.rules (
  key       text not null,
  version   text not null,
  name      text not null,
  spec      jsonb not null,
  loaded_at timestamptz not null default now(),
  primary key (key, version)
);

create table sync.rule_runs (
  id              bigint generated always as identity primary key,
  rule_key        text not null,
  rule_version    text not null,
  change_event_id bigint,
  account         text not null,
  entity          text not null,
  key             text not null,
  state           text not null,
  reason          text,
  context         jsonb not null default '{}',
  actions_total   integer not null default 0,
  actions_ok      integer not null default 0,
  actions_failed  integer not null default 0,
  on_error        text not null default 'continue',
  started_at      timestamptz not null default clock_timestamp(),
  finished_at     timestamptz,
  run_id          text,
  constraint rule_runs_once unique (rule_key, change_event_id),
  constraint state_is_known check (state in ('matched', 'done', 'partial', 'failed', 'skipped')),
  constraint skipped_says_why check (state <> 'skipped' or reason is not null),
  constraint over_says_when check ((state = 'matched') = (finished_at is null))
);
create unique index rule_runs_backfilled on sync.rule_runs (rule_key, account, entity, key)
  where change_event_id is null and state <> 'skipped';
create index rule_runs_by_record on sync.rule_runs (rule_key, account, entity, key, started_at) where state <> 'skipped';
create index rule_runs_by_time on sync.rule_runs (rule_key, started_at) where state <> 'skipped';
comment on table sync.rule_runs is 'A rule that applied to a change: once per change, or once per record where somebody had it run over those that were there already.';
comment on column sync.rule_runs.change_event_id is 'NULL: a backfill.';
comment on column sync.rule_runs.state is 'matched: its actions are on their way; done; partial; failed; skipped: a limit, or a dry run, see reason.';
comment on column sync.rule_runs.on_error is 'stop: what had not left yet is dropped once an action has failed.';

create table sync.rule_actions (
  rule_run_id bigint not null references sync.rule_runs on delete cascade,
  ordinal     integer not null,
  action      text not null,
  outbox_id   bigint,
  state       text not null,
  reason      text,
  primary key (rule_run_id, ordinal),
  constraint state_is_known check (state in ('waiting', 'done', 'failed'))
);
create index rule_actions_by_letter on sync.rule_actions (outbox_id) where outbox_id is not null;

alter table sync.activity_logs
  add column rule_run_id bigint,
  add column entity text,
  add column key text;
create index activity_logs_by_rule_run on sync.activity_logs (rule_run_id) where rule_run_id is not null;

-- What has become of a letter has become of the action that wrote it, in the same transaction whoever settles it: the
-- run's counts, and the number of successful actions in the log of activities, are never behind.
create function sync.action_settled() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  run sync.rule_runs;
begin
  update sync.rule_actions a set reason = new.reason,
         state = case when new.done_at is null then 'waiting' when new.state in ('confirmed', 'noop', 'superseded') then 'done' else 'failed' end
   where a.outbox_id = new.id;
  for run in
    update sync.rule_runs r set
           actions_ok = c.ok, actions_failed = c.failed,
           state = case when c.waiting > 0 then 'matched' when c.failed = 0 then 'done' when c.ok > 0 then 'partial' else 'failed' end,
           finished_at = case when c.waiting = 0 then clock_timestamp() end
      from (select a.rule_run_id, count(*) filter (where a.state = 'done') as ok,
                   count(*) filter (where a.state = 'failed') as failed, count(*) filter (where a.state = 'waiting') as waiting
              from sync.rule_actions a
             where a.rule_run_id in (select b.rule_run_id from sync.rule_actions b where b.outbox_id = new.id)
             group by 1) c
     where r.id = c.rule_run_id and r.state <> 'skipped'
    returning r.*
  loop
    update sync.activity_logs l set details = l.details || jsonb_build_object('successfulActions', run.actions_ok, 'status', run.state)
     where l.rule_run_id = run.id;
    if run.on_error = 'stop' and new.done_at is not null and new.state not in ('confirmed', 'noop', 'superseded') then
      update sync.outbox o set state = 'dropped', reason = 'an action of its rule before it failed', done_at = clock_timestamp()
       where o.state = 'pending' and o.sent is null and o.id in (
         select later.outbox_id from sync.rule_actions later join sync.rule_actions this using (rule_run_id)
          where this.outbox_id = new.id and later.ordinal > this.ordinal);
    end if;
  end loop;
  return null;
end $$;
create trigger action_settled after update of state on sync.outbox for each row
  when (old.done_at is distinct from new.done_at) execute function sync.action_settled();

create or replace view public.activity_logs as
  select id, account, at as created_at, activity, details, entity, key, rule_run_id from sync.activity_logs;
