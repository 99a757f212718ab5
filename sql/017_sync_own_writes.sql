-- scope: database
-- A change is ours only as far as we wrote it. Custom fields and tags come in one piece with those of others: where one
-- that we did not write changed with ours, the piece is not ours.

-- What is in a part of a record beside the fields that are named, as sync.outbox.sent names them; order counts for nothing.
create function sync.beside(record jsonb, part text, fields text[]) returns jsonb
  language sql immutable parallel safe
  return case part
    when 'custom_fields_values' then (
      select coalesce(jsonb_agg(own order by own), '[]') from jsonb_path_query(record, '$.custom_fields_values[*]') own
       where jsonb_typeof(own) = 'object' and 'custom_fields.' || coalesce(own ->> 'field_id', '') <> all(fields)
         and 'custom_fields.' || coalesce(own ->> 'field_code', '') <> all(fields))
    when '_embedded' then coalesce(record -> '_embedded', '{}') - 'tags' || jsonb_build_object('tags', (
      select coalesce(jsonb_agg(own order by own), '[]') from jsonb_path_query(record, '$._embedded.tags[*]') own
       where jsonb_typeof(own) = 'object' and 'tags.' || coalesce(own ->> 'name', '') <> all(fields)))
    end;

-- As sync.own_write, but `names` are only the fields that it explains whole.
create function sync.own_write2(of_account text, of_entity text, of_key text, before jsonb, after jsonb, changed text[],
                                held_at timestamptz, out id bigint, out depth integer, out names text[])
  language sql stable
begin atomic
  with letters as (
    select o.id, o.depth, array_agg(f.key) as fields
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
  ), ours as (
    select array_agg(f) as fields from first_shown l cross join lateral unnest(l.fields) f
  )
  select max(l.id), max(l.depth),
         (select array_agg(distinct sync.sent_as(f)) from ours cross join lateral unnest(ours.fields) f
           where held_at is null or sync.sent_as(f) not in ('custom_fields_values', '_embedded')
              or sync.beside(before, sync.sent_as(f), ours.fields) = sync.beside(after, sync.sent_as(f), ours.fields))
    from first_shown l;
end;

drop function sync.own_write(text, text, text, jsonb, text[], timestamptz);
