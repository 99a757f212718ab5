-- scope: database
-- Sequences: their versions, who is in which, and what was done of each.

create table sync.sequences (
  key           text not null,
  version       text not null,
  name          text not null,
  spec          jsonb not null,
  is_current    boolean not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  primary key (key, version)
);
create unique index sequences_current on sync.sequences (key) where is_current;
comment on table sync.sequences is 'Every version of a sequence that ever was, as its file had it; who began with one stays with it.';
comment on column sync.sequences.is_current is 'Whom it is begun with now; no version is where the file is gone.';

create table sync.sequence_runs (
  execution_id   uuid primary key default gen_random_uuid(),
  sequence_key   text not null,
  version        text not null,
  status         text not null default 'active',
  account        text not null,
  system         text not null,
  entity         text not null,
  key            text not null,
  contact_id     text,
  current_step   integer not null default 1,
  due_at         timestamptz,
  next_at        timestamptz,
  waits_for      bigint,
  reason         text,
  enrolled_by    text not null,
  enrol_event_id bigint,
  depth          integer not null default 0,
  started_at     timestamptz not null default clock_timestamp(),
  finished_at    timestamptz,
  foreign key (sequence_key, version) references sync.sequences,
  constraint status_is_known check (status in ('active', 'completed', 'exited', 'failed')),
  constraint active_waits_for_one_thing check
    (case when status = 'active' then (next_at is null) <> (waits_for is null) and (next_at is null) = (due_at is null)
          else next_at is null and waits_for is null and due_at is null end),
  constraint over_says_when check ((status = 'active') = (finished_at is null)),
  constraint what_ended_early_says_why check (status not in ('exited', 'failed') or reason is not null)
);
create unique index sequence_runs_once_per_event on sync.sequence_runs (sequence_key, enrol_event_id);
create unique index sequence_runs_one_active on sync.sequence_runs (sequence_key, account, entity, key)
  where status = 'active';
create index sequence_runs_due on sync.sequence_runs (next_at) where status = 'active';
create index sequence_runs_waiting on sync.sequence_runs (waits_for) where status = 'active' and waits_for is not null;
create index sequence_runs_record on sync.sequence_runs (account, entity, key);
comment on table sync.sequence_runs is 'One record on its way through one version of a sequence.';
comment on column sync.sequence_runs.current_step is 'The step that is next, or whose letter is under way; the first is 1.';
comment on column sync.sequence_runs.due_at is 'When the step was to be done, however late that is now.';
comment on column sync.sequence_runs.next_at is 'When it is looked at again: due_at, or the opening of the window after it.';
comment on column sync.sequence_runs.waits_for is 'The letter in sync.outbox that must be over before the next delay begins.';

create table sync.sequence_steps (
  execution_id uuid not null references sync.sequence_runs on delete cascade,
  step         integer not null,
  action       text not null,
  state        text not null,
  due_at       timestamptz,
  at           timestamptz not null default clock_timestamp(),
  outbox_id    bigint,
  reason       text,
  primary key (execution_id, step),
  constraint state_is_known check (state in ('done', 'skipped', 'failed')),
  constraint what_was_not_done_says_why check (state = 'done' or reason is not null)
);
comment on table sync.sequence_steps is 'Each step at most once: written in the transaction that puts its action into the outbox.';

-- What happened before there were sequences starts none.
alter table sync.change_events add column sequenced_at timestamptz;
update sync.change_events set sequenced_at = clock_timestamp();
create index change_events_for_sequences on sync.change_events (id) where sequenced_at is null;
comment on column sync.change_events.sequenced_at is 'When sequences took it up: whom it ended, and whom it began with.';
