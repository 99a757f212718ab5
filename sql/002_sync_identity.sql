-- scope: database
-- Records that live on under another key, that lie in the source's bin or were erased for good; totals that a source
-- tells, and why it asks to wait.

-- A record that was merged away, and into which. Chains are as they happened; `aliases` of an account shows their ends.
create table sync.aliases (
  account  text not null,
  entity   text not null,
  key      text not null,
  into_key text not null,
  evidence text not null,
  noted_at timestamptz not null default now(),
  primary key (account, entity, key),
  constraint nothing_is_merged_into_itself check (key <> into_key)
);

alter table sync.tombstones
  add column state text not null default 'gone',
  add column merged_into text,
  add constraint state_is_known check (state in ('gone', 'binned', 'merged', 'erased')),
  add constraint merged_says_where check ((state = 'merged') = (merged_into is not null));
comment on column sync.tombstones.state is 'gone; binned: the source could restore it; merged into another; erased: for good, so raw_json is only its key.';

alter table sync.logs
  add column merged bigint not null default 0,
  add column claimed bigint,
  add column shown bigint;
comment on column sync.logs.deleted is 'Records that left the table because they are gone from the source.';
comment on column sync.logs.merged is 'Records that left the table because they live on in another; no deletions.';
comment on column sync.logs.claimed is 'How many records the source itself said there are to read.';
comment on column sync.logs.shown is 'How many of those it showed.';

alter table sync.metadata add column rights text;
comment on column sync.metadata.rights is 'Fingerprint of the token''s rights at the last complete sweep: a record unseen under other rights is not gone.';

-- A pause may outlast the process that was asked to keep it: the next one says why it asks for nothing.
alter table sync.budgets add column paused_for text;
drop function sync.pause(text, text, double precision);
create function sync.pause(of_account text, of_bucket text, seconds double precision, reason text) returns void
  language sql
begin atomic
  insert into sync.budgets (account, bucket, paused_until, paused_for)
    values (of_account, of_bucket, clock_timestamp() + make_interval(secs => seconds), reason)
    on conflict (account, bucket) do update
      set paused_until = greatest(budgets.paused_until, excluded.paused_until),
          paused_for = case when excluded.paused_until > budgets.paused_until then excluded.paused_for else budgets.paused_for end;
end;

-- A moment in any of the forms of a source that mixes them: ISO 8601 with a zone, a date alone (midnight UTC), or
-- milliseconds since 1970, negative ones too.
create function sync.to_instant(value text) returns timestamptz
  language plpgsql immutable strict parallel safe
  as $$ begin
    return case
      when value ~ '^-?[0-9]+$' then
        case when length(value) <= 14 then timestamptz '1970-01-01 00:00:00+00' + value::bigint * interval '1 millisecond' end
      when length(value) = 10 then sync.to_day(value)::timestamp at time zone 'UTC'
      else sync.to_moment(value) end;
  end $$;

-- An amount to its last digit, with an exponent too: 1.0E7, or a binary fraction written out.
create function sync.to_amount2(value text) returns numeric
  language sql immutable parallel safe
  return case when value ~ '^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$' and length(value) <= 400 then value::numeric end;

-- `fresh`, with what it lacks of `names` from `held`. A name is a part, or /part/field for one field inside a part.
create function sync.carried(held jsonb, fresh jsonb, names text[]) returns jsonb
  language sql immutable parallel safe
  return (select coalesce(jsonb_object_agg(n, held -> n), '{}') from unnest(names) n where held ? n)
      || fresh
      || (select coalesce(jsonb_object_agg(part, fields || coalesce(fresh -> part, '{}')), '{}')
            from (select split_part(n, '/', 2) as part,
                         jsonb_object_agg(split_part(n, '/', 3), held -> split_part(n, '/', 2) -> split_part(n, '/', 3)) as fields
                    from unnest(names) n
                   where n like '/%/%' and held -> split_part(n, '/', 2) ? split_part(n, '/', 3) group by 1) inside);

-- A sweep of 38,000 records writes their keys twice over, to forget them at its end; neighbours look alike and pack well.
alter table sync.sightings alter column keys set storage main, set (toast_tuple_target = 128);
