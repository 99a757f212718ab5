-- scope: database
-- What GET /health of the receiver tells of Postgres, in one question that shows nobody's record.

create index outbox_dead on sync.outbox (account) where state in ('dead', 'unknown');

-- Dagster's own tables are asked only where they are in this database and may be read: else `daemons` and `runs` are
-- null. A heartbeat's column bears the time zone of the session that wrote it, so its body is asked for the moment.
create function sync.health() returns jsonb language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  daemons jsonb;
  runs jsonb;
begin
  begin
    if to_regclass('dagster.daemon_heartbeats') is not null then
      execute 'select coalesce(jsonb_object_agg(daemon_type, round((extract(epoch from clock_timestamp())
                        - (body::jsonb ->> ''timestamp'')::numeric), 1)), ''{}'') from dagster.daemon_heartbeats'
         into daemons;
    end if;
    if to_regclass('dagster.runs') is not null then
      execute 'select jsonb_build_object(''runs'', count(*) filter (where status <> ''QUEUED''),
                                         ''queued'', count(*) filter (where status = ''QUEUED''))
                 from dagster.runs where status in (''QUEUED'', ''STARTING'', ''STARTED'', ''CANCELING'')'
         into runs;
    end if;
  exception when insufficient_privilege or undefined_table or undefined_column or data_exception then
    null;
  end;
  return jsonb_build_object(
    'daemons', daemons,
    'runs', runs,
    'syncs', (select count(*) from sync.logs where status = 'running'),
    'inbox_dead', (select count(*) from sync.webhook_events where state = 'dead'),
    'outbox_dead', (select count(*) from sync.outbox where state in ('dead', 'unknown')),
    'inbox_waiting', (select jsonb_build_object('events', count(*),
                               'oldest_seconds', coalesce(round(extract(epoch from clock_timestamp() - min(received_at)), 1), 0))
                        from sync.webhook_events where state in ('new', 'taken', 'waiting')));
end $$;
comment on function sync.health() is 'Seconds since each daemon''s sign of life, jobs in progress, dead letters and what waits: counts only.';
