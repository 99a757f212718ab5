-- scope: account
-- Where an order stands, in our words. Whoever changes it here changes it in the shop.

alter table orders add column crm_status sync.order_status;
comment on column orders.crm_status is 'Ours. Follows the shop''s status by sync.status_map; NULL where that does not know it. A change here is written back.';

create function order_status_of(status text, canceled text) returns sync.order_status
  language sql stable
begin atomic
  select case when canceled = 'Y' then 'cancelled'
         else (select m.canonical from sync.status_map m
                where m.system = 'bitrix' and m.scope = 'O' and m.code = status and m.inbound) end;
end;

update orders set crm_status = order_status_of(raw_json ->> 'statusId', raw_json ->> 'canceled');

-- Generated columns are not there yet before a row is written, so this goes by the record. While something of ours is on
-- its way, ours stays: delivery compares both and decides.
create function order_arrives() returns trigger language plpgsql as $$ begin
  if tg_op = 'UPDATE' and exists (
    select from sync.outbox o
     where o.account = tg_table_schema and o.entity = tg_table_name and o.key = old.id::text
       and o.operation = 'set_order_status' and o.state in ('pending', 'sending', 'failed'))
  then
    return new;
  end if;
  if new.raw_json ->> 'canceled' = 'Y' then
    new.crm_status := 'cancelled';
  else
    new.crm_status := (select m.canonical from sync.status_map m where m.system = 'bitrix' and m.scope = 'O'
                          and m.code = new.raw_json ->> 'statusId' and m.inbound);
  end if;
  return new;
end $$;
create trigger order_arrives before insert on orders for each row execute function order_arrives();
create trigger order_changes_in_the_shop before update of raw_json on orders for each row
  when (old.raw_json ->> 'statusId' is distinct from new.raw_json ->> 'statusId'
        or old.raw_json ->> 'canceled' is distinct from new.raw_json ->> 'canceled')
  execute function order_arrives();

-- A sync never names crm_status among the columns that it sets, so this fires for people and apps alone; what delivery
-- sets is marked. Whoever may change an order may not write the outbox, so this runs as the one who made it.
create function order_changes_here() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$ begin
  insert into sync.outbox (account, entity, key, operation, payload, base, idempotency_key)
  values (tg_table_schema, tg_table_name, new.id::text, 'set_order_status',
          jsonb_build_object('crm_status', new.crm_status),
          jsonb_build_object('statusId', new.raw_json -> 'statusId', 'canceled', new.raw_json -> 'canceled',
                             'version', new.raw_json -> 'version', 'dateUpdate', new.raw_json -> 'dateUpdate'),
          format('%s/%s/%s/%s', tg_table_schema, tg_table_name, new.id, nextval('sync.seen')));
  perform pg_notify('sync_outbox', tg_table_schema);
  return null;
end $$;
create trigger order_changes_here after update of crm_status on orders for each row
  when (new.crm_status is distinct from old.crm_status and new.crm_status is not null
        and current_setting('sync.origin', true) is distinct from 'sync')
  execute function order_changes_here();

-- Puts orders back to what the shop says, where nothing of ours is on its way; all of them where none are named. Only a
-- superuser may make a function that sets a parameter of ours by itself, so this one does it in its body.
do $do$ begin
  execute format($function$
    create function orders_in_step(ids bigint[] default null) returns bigint
      language plpgsql set search_path = %1$I, pg_catalog, pg_temp as $body$
    declare
      before text := current_setting('sync.origin', true);
      stepped bigint;
    begin
      perform set_config('sync.origin', 'sync', true);
      update orders o set crm_status = order_status_of(o.status_id, case when o.canceled then 'Y' end)
       where (ids is null or o.id = any(ids))
         and o.crm_status is distinct from order_status_of(o.status_id, case when o.canceled then 'Y' end)
         and not exists (select from sync.outbox w
                          where w.account = (select n.nspname from pg_namespace n join pg_class c on c.relnamespace = n.oid
                                              where c.oid = o.tableoid)
                            and w.entity = 'orders' and w.key = o.id::text and w.operation = 'set_order_status'
                            and w.state in ('pending', 'sending', 'failed'));
      get diagnostics stepped = row_count;
      perform set_config('sync.origin', coalesce(before, ''), true);
      return stepped;
    end $body$
  $function$, current_schema());
end $do$;
