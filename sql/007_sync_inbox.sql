-- scope: database
-- What webhooks told us: one row per event, until it was worked off and its time is over.
create table sync.webhook_events (
  id          bigint generated always as identity primary key,
  account     text not null,
  system      text not null,
  endpoint    text not null default '',
  event       text not null,
  entity      text not null default '',
  key         text not null default '',
  identity    bytea not null,
  is_unique   boolean not null,
  occurred_at timestamptz,
  received_at timestamptz not null default clock_timestamp(),
  last_at     timestamptz not null default clock_timestamp(),
  deliveries  integer not null default 1,
  payload     bytea,
  record      bytea,
  state       text not null default 'new',
  attempts    integer not null default 0,
  next_try_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz,
  leased_by   text,
  reason      text,
  done_at     timestamptz,
  sync_id     bigint,
  constraint state_is_known check (state in ('new', 'taken', 'waiting', 'done', 'ignored', 'dead')),
  constraint taken_says_until_when check ((state = 'taken') = (lease_until is not null)),
  constraint over_says_when check ((state in ('done', 'ignored', 'dead')) = (done_at is not null)),
  constraint dead_says_why check (state <> 'dead' or reason is not null)
);
comment on table sync.webhook_events is 'The inbox of webhooks: hints at records that are then read from the API.';
comment on column sync.webhook_events.identity is 'What tells a second delivery from a second event: the vendor''s id, else a hash of the payload.';
comment on column sync.webhook_events.is_unique is 'False: a later event may have the same identity, so only one that still waits is a second delivery of it.';
comment on column sync.webhook_events.deliveries is 'How often it came.';
comment on column sync.webhook_events.state is 'new, taken by a worker, waiting for its next try, done, ignored (of no entity of ours), dead (given up).';
comment on column sync.webhook_events.attempts is 'Counted before the work, so that an event that kills its worker is given up in the end.';
comment on column sync.webhook_events.payload is 'What of the delivery was about it; empty once its time is over.';
comment on column sync.webhook_events.record is 'The record itself, where its source sent it because the API may not show it; empty once its time is over.';

create unique index webhook_events_once on sync.webhook_events (account, identity) where is_unique or state = 'new';
create index webhook_events_due on sync.webhook_events (account, next_try_at) where state in ('new', 'taken', 'waiting');
create index webhook_events_over on sync.webhook_events (done_at) where done_at is not null;
