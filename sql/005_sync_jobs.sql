-- scope: database
-- Jobs that are asked for by name and run one at a time: who asked, how far each is, and what came of it.

create table sync.jobs (
  job_id        text primary key,
  job           text not null,
  account       text not null,
  status        text not null,
  requested_by  text not null,
  requested_at  timestamptz not null default clock_timestamp(),
  started_at    timestamptz,
  ended_at      timestamptz,
  result        jsonb,
  error         text,
  active_job_id text,
  holder        text,
  lease_until   timestamptz,
  constraint status_is_known
    check (status in ('queued', 'running', 'succeeded', 'failed', 'canceled', 'lost', 'superseded')),
  constraint an_ended_job_says_when check ((status in ('queued', 'running')) = (ended_at is null)),
  constraint a_running_job_says_who_runs_it_and_until_when
    check (status <> 'running' or (started_at is not null and holder is not null and lease_until is not null)),
  constraint a_job_that_succeeded_has_a_result check ((status = 'succeeded') = (result is not null)),
  constraint a_job_that_did_not_says_why check ((status in ('failed', 'canceled', 'lost')) = (error is not null)),
  constraint a_superseded_job_names_the_active_one check ((status = 'superseded') = (active_job_id is not null))
);
create unique index one_active_job_at_a_time on sync.jobs (account, job) where status in ('queued', 'running');
create index jobs_by_request on sync.jobs (account, job, requested_at desc);
comment on column sync.jobs.job_id is 'The id of the Dagster run.';
comment on column sync.jobs.status is
  'canceled: by a person, in the queue or while it ran; lost: its process or its run ended without a word; superseded: another one was queued or running when it started, so it did nothing.';
comment on column sync.jobs.result is 'How many rows each part of the job left, by name.';
comment on column sync.jobs.error is 'Why it did not succeed, and what to do.';
comment on column sync.jobs.active_job_id is 'The job that was queued or running already.';
comment on column sync.jobs.lease_until is 'A job that has not been heard of until then is lost.';
