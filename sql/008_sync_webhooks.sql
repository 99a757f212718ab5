-- scope: database
-- Syncs of single records, which webhooks ask for while another sync of the entity is under way: they take no lease, so
-- a row of sync.logs says itself who holds it, and a tombstone when its record was last looked for.

alter table sync.logs
  add column holder text,
  add column lease_until timestamptz,
  add column unheard bigint,
  add constraint a_sync_without_a_lease_says_who_holds_it_and_until_when check ((holder is null) = (lease_until is null));
comment on column sync.logs.holder is 'Of a sync that took no lease: its process. It is lost when that ended, or let lease_until pass.';
comment on column sync.logs.unheard is 'Of an incremental sync of what webhooks tell of: records that it changed and of which no webhook had told.';
create index logs_running on sync.logs (account, entity) where status = 'running';
create index logs_with_a_lease on sync.logs (account, entity, id) where holder is null;

alter table sync.tombstones add column seen bigint not null default 0;
comment on column sync.tombstones.seen is 'Sighting number of the request that did not find it: what was read before that brings it not back.';

create index webhook_events_by_record on sync.webhook_events (account, entity, key) where state in ('new', 'taken', 'waiting');
create index webhook_events_heard on sync.webhook_events (account, entity, received_at);
create index webhook_events_dead on sync.webhook_events (account) where state = 'dead';
