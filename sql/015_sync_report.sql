-- scope: database
-- What the report of a run is made of, beside the counts: what a sync's time went into, of what kind its error was, and
-- of each run what only its checks and steps know.

alter table sync.logs
  add column asking_seconds  numeric,
  add column paced_seconds   numeric,
  add column paused_seconds  numeric,
  add column storing_seconds numeric,
  add column floor_seconds   numeric,
  add column bucket          text,
  add column rate            numeric,
  add column error_type      text;
comment on column sync.logs.throttled_seconds is 'Time that requests waited before they left, summed over all of them: more than the sync took, where several waited at once.';
comment on column sync.logs.asking_seconds is 'Wall time with at least one request under way.';
comment on column sync.logs.paced_seconds is 'Wall time with at least one request waiting for its turn below the rate limit.';
comment on column sync.logs.paused_seconds is 'Wall time with at least one request waiting because the source asked to wait.';
comment on column sync.logs.storing_seconds is 'Wall time with a transaction open.';
comment on column sync.logs.floor_seconds is 'What its requests take at the rate limit, whatever else.';
comment on column sync.logs.bucket is 'The limit that makes the floor.';
comment on column sync.logs.rate is 'Requests per second that this limit allowed; null: no limit.';
comment on column sync.logs.error_type is 'The class of the error: whose move it is.';

-- One row per run that came to its report; how its entities fared is in sync.logs.
create table sync.runs (
  run_id        text primary key,
  job           text not null,
  started_at    timestamptz not null,
  ended_at      timestamptz not null default clock_timestamp(),
  checks        integer not null,
  failed_checks jsonb not null,
  failed_steps  jsonb not null,
  skipped       text[] not null,
  constraint it_ends_after_it_began check (ended_at >= started_at)
);
create index runs_by_end on sync.runs (ended_at);
comment on table sync.runs is 'The runs that came to their report.';
comment on column sync.runs.checks is 'How many checks were evaluated.';
comment on column sync.runs.failed_checks is 'Those that did not pass: [{asset, name, severity, says}].';
comment on column sync.runs.failed_steps is 'The steps that failed: [{asset, says, next_step}].';
comment on column sync.runs.skipped is 'Assets that were not made because one that they need failed.';
