-- scope: database
-- Who may do what: four roles, what each may read and write, and one narrow way into the inbox. And to which host each
-- secret belongs.

-- The roles of this database. Roles live in the cluster, which other databases share: so they have names of their own.
create table sync.roles (
  kind text primary key,
  role name not null unique,
  constraint kind_is_known check (kind in ('owner', 'writer', 'receiver', 'reader'))
);
comment on table sync.roles is 'Made by sync-assets roles --create; empty where every process works as one and the same.';
comment on column sync.roles.kind is 'owner: tables and migrations. writer: syncs, workers, the way back, Dagster. receiver: puts webhooks into the inbox. reader: sees what is not personal.';

-- Which text tells nothing of a person. Numbers, times, days and flags never do; text and JSON do, unless they stand
-- here: so a new column is hidden until somebody has thought about it.
create table sync.plain_columns (
  system      text not null,
  relation    text not null,
  column_name text not null,
  primary key (system, relation, column_name)
);
comment on table sync.plain_columns is 'Columns of text that the reader sees; then select sync.grant_roles().';
comment on column sync.plain_columns.system is 'Empty: a view in public, or a table of sync.';

insert into sync.plain_columns (system, relation, column_name)
select system, relation, unnest(string_to_array(names, ' ')) from (values
  ('', 'sync_logs', 'system account entity_type object_type sync_type status error_message run_id'),
  ('', 'sync_metadata', 'system account entity_type object_type error_message'),
  ('', 'activity_logs', 'account activity entity'),
  ('', 'hubspot_contacts_raw', 'hubspot_id lifecyclestage lead_status'),
  ('', 'hubspot_deals_raw', 'hubspot_id currency pipeline dealstage qualified_status trial_status payment_status'),
  ('', 'hubspot_calls_raw', 'hubspot_id direction disposition status callee_type'),
  ('', 'status_map', 'system scope code canonical'),
  ('bitrix', 'order_statuses', 'id type color xml_id'),
  ('bitrix', 'delivery_statuses', 'id type color xml_id'),
  ('bitrix', 'status_langs', 'status_id lid name description'),
  ('bitrix', 'users', 'user_type'),
  ('bitrix', 'catalogs', 'name lid'),
  ('bitrix', 'sections', 'name code xml_id'),
  ('bitrix', 'products', 'name code purchasing_currency xml_id'),
  ('bitrix', 'prices', 'currency'),
  ('bitrix', 'orders', 'account_number status_id currency site xml_id external_id crm_status'),
  ('bitrix', 'order_items', 'name currency measure product_xml_id xml_id'),
  ('bitrix', 'payments', 'account_number currency pay_system'),
  ('bitrix', 'shipments', 'account_number status_id delivery currency'),
  ('bitrix', 'order_properties', 'code name xml_id'),
  ('bitrix', 'order_gaps', 'entity key state evidence'),
  ('bitrix', 'orders_out_of_step', 'crm_status shop_status status_id'),
  ('hubspot', 'owners', 'type'),
  ('hubspot', 'pipelines', 'id label'),
  ('hubspot', 'stages', 'pipeline_id id label'),
  ('hubspot', 'property_definitions', 'object_type name label type field_type group_name'),
  ('hubspot', 'contacts', 'lifecyclestage lead_status'),
  ('hubspot', 'deals', 'currency pipeline dealstage qualified_status trial_status payment_status'),
  ('hubspot', 'calls', 'direction disposition status callee_type'),
  ('hubspot', 'contact_associations', 'to_type'),
  ('hubspot', 'deal_associations', 'to_type'),
  ('hubspot', 'call_associations', 'to_type'),
  ('hubspot', 'associations', 'from_type to_type category label'),
  ('hubspot', 'aliases', 'entity'),
  ('hubspot', 'call_outcomes', 'disposition outcome'),
  ('hubspot', 'call_contacts', 'how reason'),
  ('kaiten', 'spaces', 'title access path parent_uid external_id uid'),
  ('kaiten', 'users', 'timezone uid'),
  ('kaiten', 'card_types', 'name letter'),
  ('kaiten', 'tags', 'name'),
  ('kaiten', 'property_definitions', 'name type condition external_id'),
  ('kaiten', 'property_values', 'value condition external_id'),
  ('kaiten', 'boards', 'title external_id uid'),
  ('kaiten', 'columns', 'title external_id'),
  ('kaiten', 'lanes', 'title external_id'),
  ('kaiten', 'cards', 'size_text external_id'),
  ('kaiten', 'card_tags', 'name'),
  ('kaiten', 'card_properties', 'property type option'),
  ('kommo', 'users', 'lang'),
  ('kommo', 'pipelines', 'name'),
  ('kommo', 'statuses', 'name color'),
  ('kommo', 'loss_reasons', 'name'),
  ('kommo', 'custom_fields', 'entity_type name code type'),
  ('kommo', 'tasks', 'entity_type'),
  ('kommo', 'events', 'id type entity_type'),
  ('kommo', 'tags', 'entity_type name'),
  ('kommo', 'custom_field_values', 'entity_type field code type enum'),
  ('kommo', 'phones_and_emails', 'entity_type code'),
  ('worksection', 'projects', 'id name status company page manager_id author_id'),
  ('worksection', 'users', 'id role user_group department'),
  ('worksection', 'project_tags', 'id title group_id group_title group_type'),
  ('worksection', 'task_tags', 'id title group_id group_title group_type'),
  ('worksection', 'tasks', 'id project_id status responsible_id author_id'),
  ('worksection', 'stages', 'project_id id title'),
  ('worksection', 'objects', 'id project_id stage_id status responsible_id'),
  ('worksection', 'sections', 'id project_id object_id status responsible_id'),
  ('worksection', 'hierarchy', 'project_id project stage_id stage object_id section_id'),
  ('worksection', 'tags_of_tasks', 'task_id tag_id title'),
  ('worksection', 'tags_of_projects', 'project_id tag_id title')
) declared(system, relation, names);

-- The schemas that are ours, and which system each belongs to; public has only views of ours.
create view sync.schemas as
  select 'sync'::name as schema, '' as system
  union select account::name, split_part(split_part(substring(file from '[^/]*$'), '.', 1), '_', 2)
          from sync.migrations where account <> ''
  union select nspname, '' from pg_catalog.pg_namespace where nspname = 'dagster';

-- Tables and views that are ours, and which the product itself writes to between migrations. Of public: views that show something of ours and belong to whom our tables belong.
create view sync.relations as
  select c.oid, n.nspname as schema, s.system, c.relname as relation,
         c.relkind in ('r', 'p') and not (n.nspname = 'sync' and c.relname in
           ('migrations', 'roles', 'plain_columns', 'status_map', 'record')) as is_written
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join sync.schemas s on s.schema = n.nspname
   where c.relkind in ('r', 'p', 'v', 'm')
  union
  select c.oid, n.nspname, '', c.relname, false
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_rewrite w on w.ev_class = c.oid
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
                               and d.refclassid = 'pg_catalog.pg_class'::regclass
    join pg_catalog.pg_class base on base.oid = d.refobjid
    join pg_catalog.pg_namespace home on home.oid = base.relnamespace
    join sync.schemas s on s.schema = home.nspname
   where n.nspname = 'public' and c.relkind in ('v', 'm')
     and c.relowner = (select relowner from pg_catalog.pg_class where oid = 'sync.migrations'::regclass);

-- What the reader may see.
create view sync.reader_columns as
  select r.schema, r.relation, a.attname as column_name
    from sync.relations r
    join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    left join sync.plain_columns p on p.system = r.system and p.relation = r.relation and p.column_name = a.attname
   where (r.schema not in ('sync', 'dagster') or (r.schema = 'sync' and r.relation in ('status_map', 'roles')))
     and (p.column_name is not null or r.relation = 'roles'
          or (a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float8'::regtype,
                             'bool'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)));

-- Takes back whatever the roles had and gives each what it needs now; sync-assets migrate calls it. Answers how many
-- tables and views it was about; 0 where there are no roles. Whoever calls it owns them.
create function sync.grant_roles() returns integer language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  writer name := (select r.role from sync.roles r join pg_roles p on p.rolname = r.role where r.kind = 'writer');
  receiver name := (select r.role from sync.roles r join pg_roles p on p.rolname = r.role where r.kind = 'receiver');
  reader name := (select r.role from sync.roles r join pg_roles p on p.rolname = r.role where r.kind = 'reader');
  -- Supabase's web roles get rights to all that is made in public.
  strangers text := (select 'public' || coalesce(string_agg(', ' || quote_ident(rolname), ''), '')
                       from pg_roles where rolname in ('anon', 'authenticated'));
  ours record;
  found integer := 0;
begin
  if writer is null or receiver is null or reader is null then
    return 0;
  end if;
  for ours in select * from sync.schemas loop
    execute format('revoke all on schema %I from %s, %I, %I, %I', ours.schema, strangers, writer, receiver, reader);
    execute format('revoke all on all tables in schema %I from %s, %I, %I, %I', ours.schema, strangers, writer, receiver, reader);
    execute format('revoke all on all sequences in schema %I from %s, %I, %I, %I', ours.schema, strangers, writer, receiver, reader);
    execute format('grant usage on schema %I to %I', ours.schema, writer);
    execute format('grant usage on all sequences in schema %I to %I', ours.schema, writer);
    execute format('grant execute on all functions in schema %I to %I', ours.schema, writer);
    if ours.schema <> 'dagster' then
      execute format('grant usage on schema %I to %I', ours.schema, reader);
    end if;
  end loop;
  execute format('grant usage on schema sync to %I', receiver);
  execute format('grant select on sync.roles to %I', receiver);
  for ours in select * from sync.relations loop
    if ours.schema = 'public' then
      execute format('revoke all on %I.%I from %s, %I, %I, %I', ours.schema, ours.relation, strangers, writer, receiver, reader);
    end if;
    execute format('grant %s on %I.%I to %I',
                   case when ours.is_written then 'select, insert, update, delete' else 'select' end,
                   ours.schema, ours.relation, writer);
    found := found + 1;
  end loop;
  for ours in
    select schema, relation, string_agg(quote_ident(column_name), ', ') as columns from sync.reader_columns group by 1, 2
  loop
    execute format('grant select (%s) on %I.%I to %I', ours.columns, ours.schema, ours.relation, reader);
  end loop;
  -- What computes is for everybody, as columns and views call it in the name of whoever asks; what acts is not.
  for ours in
    select p.oid::regprocedure as signature, p.proname as function, p.provolatile = 'v' or p.prosecdef as acts
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace join sync.schemas s on s.schema = n.nspname
     where n.nspname <> 'dagster' and p.prokind = 'f'
  loop
    execute format('revoke all on function %s from %I, %I', ours.signature, receiver, reader);
    if ours.acts then
      execute format('revoke all on function %s from %s', ours.signature, strangers);
    end if;
    if ours.function in ('grant_roles', 'hand_to_owner') then
      execute format('revoke all on function %s from %I', ours.signature, writer);
    elsif ours.function in ('accept_events', 'health') then
      execute format('grant execute on function %s to %I', ours.signature, receiver);
    end if;
  end loop;
  return found;
end $$;

-- Makes everything that is ours the owner's, be it as it is or made by hand since. Whoever calls it owns it until now,
-- and is a member of the owner.
create function sync.hand_to_owner() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  owner name := (select role from sync.roles where kind = 'owner');
  -- Known before the first is handed over: no table may be in use.
  ours text[] := (select array_agg(what order by turn, what) from (
    select 1 as turn, format('schema %I', n.nspname) as what, n.nspowner as held_by
      from pg_namespace n join sync.schemas s on s.schema = n.nspname
    union
    select 2, format('table %s', c.oid::regclass), c.relowner
      from pg_class c left join sync.relations r on r.oid = c.oid join pg_namespace n on n.oid = c.relnamespace
     where r.oid is not null
        or (c.relkind = 'S' and n.nspname in (select schema from sync.schemas) and not exists (
              select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')))
    union
    select 3, format('function %s', p.oid::regprocedure), p.proowner
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace join sync.schemas s on s.schema = n.nspname
     where p.prokind = 'f'
    union
    select 4, format('%s %s', case t.typtype when 'd' then 'domain' else 'type' end, t.oid::regtype), t.typowner
      from pg_type t join pg_namespace n on n.oid = t.typnamespace join sync.schemas s on s.schema = n.nspname
      left join pg_class c on c.oid = t.typrelid
     where t.typtype in ('d', 'e') or (t.typtype = 'c' and c.relkind = 'c')
  ) found where held_by <> owner::regrole);
  what text;
begin
  foreach what in array coalesce(ours, '{}') loop
    execute format('alter %s owner to %I', what, owner);
  end loop;
end $$;

-- One event as the receiver has it.
create type sync.accepted_event as (
  account     text,
  system      text,
  endpoint    text,
  event       text,
  entity      text,
  key         text,
  identity    bytea,
  is_unique   boolean,
  occurred_at timestamptz,
  received_at timestamptz,
  last_at     timestamptz,
  deliveries  integer,
  payload     bytea,
  record      bytea,
  problem     text
);

-- The one thing that the receiver may do, beside asking for counts (sync.health): it puts events into the inbox, new or dead, and tells the workers. It sees
-- nobody's events, and a second delivery is only counted.
create function sync.accept_events(said sync.accepted_event[]) returns void language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  of_account text;
begin
  for of_account in
    with stored as (
      insert into sync.webhook_events as held
             (account, system, endpoint, event, entity, key, identity, is_unique, occurred_at, received_at, last_at,
              deliveries, payload, record, state, reason, done_at)
      select s.account, s.system, s.endpoint, s.event, s.entity, s.key, s.identity, s.is_unique, s.occurred_at,
             s.received_at, s.last_at, s.deliveries, s.payload, s.record,
             case when s.problem = '' then 'new' else 'dead' end, nullif(s.problem, ''),
             case when s.problem <> '' then s.last_at end
        from unnest(said) s
      on conflict (account, identity) where is_unique or state = 'new'
      do update set deliveries = held.deliveries + case when excluded.last_at > held.last_at
                                                        then excluded.deliveries else 0 end,
                    last_at = greatest(held.last_at, excluded.last_at)
      returning held.account, held.xmax = 0 and held.state = 'new' as is_new
    )
    select distinct account from stored where is_new
  loop
    perform pg_notify('sync_inbox', of_account);
  end loop;
end $$;

-- To which host a secret of ours goes. A secret that is met again with another host goes nowhere.
create table sync.trusted_hosts (
  account    text not null,
  setting    text not null,
  host       text not null,
  salt       bytea not null,
  seal       bytea not null,
  since      timestamptz not null default clock_timestamp(),
  trusted_by text,
  primary key (account, setting)
);
comment on table sync.trusted_hosts is 'For each secret that is sent to a source, the host that it is sent to.';
comment on column sync.trusted_hosts.setting is 'The setting that holds it: api_token.';
comment on column sync.trusted_hosts.seal is 'scrypt of the secret, with this salt: the secret cannot be had from it.';
comment on column sync.trusted_hosts.trusted_by is 'Who allowed the host, where it was not simply the first: sync-assets accounts trust.';
