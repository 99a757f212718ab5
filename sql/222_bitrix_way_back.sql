-- scope: account
-- Orders that say something else here than in the shop although nothing is on its way, nor was given up: changed while
-- triggers were off, or before sync.status_map got to know their code.

create view orders_out_of_step as
  select o.id, o.crm_status, order_status_of(o.status_id, case when o.canceled then 'Y' end) as shop_status, o.status_id
    from orders o
   where o.crm_status is distinct from order_status_of(o.status_id, case when o.canceled then 'Y' end)
     and not exists (select from sync.outbox w
                      where w.account = (select n.nspname from pg_namespace n join pg_class c on c.relnamespace = n.oid
                                          where c.oid = o.tableoid)
                        and w.entity = 'orders' and w.key = o.id::text and w.operation = 'set_order_status'
                        and w.state in ('pending', 'sending', 'failed', 'dead'));
comment on view orders_out_of_step is 'select orders_in_step() puts them to what the shop says.';
