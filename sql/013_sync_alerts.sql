-- scope: database
-- Alerts: what is wrong, once for each cause, and who was told of it.

create table sync.alerts (
  id            bigint generated always as identity primary key,
  account       text not null default '',
  entity        text not null default '',
  cause         text not null,
  kind          text not null,
  severity      text not null,
  says          text not null,
  next_step     text not null,
  stopped       text[] not null default '{}',
  run_id        text,
  job           text,
  assets        text[] not null default '{}',
  opened_at     timestamptz not null,
  last_seen_at  timestamptz not null,
  told_at       timestamptz,
  green_since   timestamptz,
  recovered_at  timestamptz,
  times         integer not null default 1,
  constraint kind_is_known check (kind in ('step', 'run', 'check', 'state')),
  constraint severity_is_known check (severity in ('critical', 'error', 'warning')),
  constraint what_has_recovered_is_green check (recovered_at is null or green_since is not null),
  constraint it_was_seen_after_it_came_up check (last_seen_at >= opened_at)
);
create unique index alerts_one_open_per_cause on sync.alerts (account, entity, cause) where recovered_at is null;
create index alerts_of_a_cause on sync.alerts (account, entity, cause, opened_at);
create index alerts_over on sync.alerts (recovered_at) where recovered_at is not null;
comment on table sync.alerts is 'One row from a cause''s coming up to its end.';
comment on column sync.alerts.account is 'Empty where it is nobody''s in particular.';
comment on column sync.alerts.cause is 'The name of a check, or the class of an error.';
comment on column sync.alerts.kind is 'step: of a run; run: a run that was lost; check: as Dagster has it; state: as Postgres shows it now.';
comment on column sync.alerts.stopped is 'What else did not run because of it.';
comment on column sync.alerts.assets is 'Whose next success ends it, for a step.';
comment on column sync.alerts.told_at is 'When the first notifier took it.';
comment on column sync.alerts.green_since is 'Gone since then; it recovers when it has stayed away.';
comment on column sync.alerts.times is 'How often it was met: failed runs, or times that it came back before it was over.';

create table sync.alert_notices (
  alert_id          bigint not null references sync.alerts on delete cascade,
  notifier          text not null,
  opening_told_at   timestamptz,
  last_told_at      timestamptz,
  recovery_told_at  timestamptz,
  held              boolean not null default false,
  attempts          integer not null default 0,
  next_try_at       timestamptz not null,
  lease_until       timestamptz,
  reason            text,
  primary key (alert_id, notifier),
  constraint no_recovery_is_told_before_the_opening check (recovery_told_at is null or opening_told_at is not null)
);
create index alert_notices_open on sync.alert_notices (notifier, alert_id) where recovery_told_at is null;
comment on table sync.alert_notices is 'What each notifier has told of each alert; what is due follows from both.';
comment on column sync.alert_notices.held is 'Quiet hours kept it back.';
comment on column sync.alert_notices.lease_until is 'A process is telling it; after that time another one may.';

create table sync.alert_notifiers (
  notifier     text primary key,
  failures     integer not null default 0,
  closed_until timestamptz,
  reason       text,
  took_at      timestamptz,
  constraint what_fails_says_why check (failures = 0 or reason is not null)
);
comment on table sync.alert_notifiers is 'How each notifier is: one that is down is left alone for longer each time.';

create table sync.alert_looks (
  one       boolean primary key default true,
  looked_at timestamptz not null,
  constraint there_is_one check (one)
);
comment on table sync.alert_looks is 'When the sensor last looked; whoever looks locks it.';

create table sync.alert_runs (
  run_id  text primary key,
  seen_at timestamptz not null default clock_timestamp()
);
comment on table sync.alert_runs is 'Failed runs that were looked at, so that each counts once.';
