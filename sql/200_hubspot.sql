-- scope: account
-- HubSpot. Every property of the portal is in raw_json -> 'properties', where an absent one is empty; these are the columns
-- that most portals need. Values come as text: moments as ISO or as milliseconds, amounts with up to fifty digits.

create table owners (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  email             text generated always as (sync.to_text(raw_json ->> 'email')) stored,
  first_name        text generated always as (sync.to_text(raw_json ->> 'firstName')) stored,
  last_name         text generated always as (sync.to_text(raw_json ->> 'lastName')) stored,
  type              text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  user_id           bigint generated always as (sync.to_key(coalesce(raw_json ->> 'userId', raw_json ->> 'userIdIncludingInactive'))) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  created_at        timestamptz generated always as (sync.to_instant(raw_json ->> 'createdAt')) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(raw_json ->> 'updatedAt')) stored,
  like sync.record including all
);
comment on column owners.id is 'What hubspot_owner_id of a record names; user_id is another number.';

create table pipelines (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  label             text generated always as (sync.to_text(raw_json ->> 'label')) stored,
  sort_order        bigint generated always as (sync.to_whole(raw_json ->> 'displayOrder')) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(raw_json ->> 'updatedAt')) stored,
  like sync.record including all
);

create table stages (
  pipeline_id       text generated always as (sync.to_text(raw_json ->> 'pipeline_id')) stored,
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored,
  label             text generated always as (sync.to_text(raw_json ->> 'label')) stored,
  sort_order        bigint generated always as (sync.to_whole(raw_json ->> 'displayOrder')) stored,
  probability       numeric generated always as (sync.to_amount2(raw_json #>> '{metadata,probability}')) stored,
  is_closed         boolean generated always as (sync.to_flag(raw_json #>> '{metadata,isClosed}')) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(raw_json ->> 'updatedAt')) stored,
  like sync.record including all,
  primary key (pipeline_id, id)
);

create table property_definitions (
  object_type       text generated always as (sync.to_text(raw_json ->> 'object_type')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  label             text generated always as (sync.to_text(raw_json ->> 'label')) stored,
  type              text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  field_type        text generated always as (sync.to_text(raw_json ->> 'fieldType')) stored,
  group_name        text generated always as (sync.to_text(raw_json ->> 'groupName')) stored,
  is_hubspots          boolean generated always as (sync.to_flag(raw_json ->> 'hubspotDefined')) stored,
  is_calculated     boolean generated always as (sync.to_flag(raw_json ->> 'calculated')) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(raw_json ->> 'updatedAt')) stored,
  like sync.record including all,
  primary key (object_type, name)
);
comment on column property_definitions.is_hubspots is 'HubSpot''s own, not the portal''s.';
comment on column property_definitions.is_calculated is 'Changes without moving a record''s last-modified time: fresh after a full sync.';

create table contacts (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  email             text generated always as (sync.to_text(nullif(raw_json #>> '{properties,email}', ''))) stored,
  phone             text generated always as (sync.to_text(nullif(raw_json #>> '{properties,phone}', ''))) stored,
  mobile_phone      text generated always as (sync.to_text(nullif(raw_json #>> '{properties,mobilephone}', ''))) stored,
  firstname         text generated always as (sync.to_text(nullif(raw_json #>> '{properties,firstname}', ''))) stored,
  lastname          text generated always as (sync.to_text(nullif(raw_json #>> '{properties,lastname}', ''))) stored,
  lifecyclestage    text generated always as (sync.to_text(nullif(raw_json #>> '{properties,lifecyclestage}', ''))) stored,
  lead_status       text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_lead_status}', ''))) stored,
  vsl_watched       boolean generated always as (sync.to_flag(nullif(raw_json #>> '{properties,vsl_watched}', ''))) stored,
  vsl_watch_duration numeric generated always as (sync.to_amount2(nullif(raw_json #>> '{properties,vsl_watch_duration}', ''))) stored,
  owner_id          bigint generated always as (sync.to_key(nullif(raw_json #>> '{properties,hubspot_owner_id}', ''))) stored,
  createdate        timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,createdate}', ''))) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,lastmodifieddate}', ''))) stored,
  like sync.record including all
);
create index contacts_email on contacts (lower(email));
create index contacts_phone on contacts (phone);
create index contacts_synced_at on contacts (synced_at);

create table deals (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  dealname          text generated always as (sync.to_text(nullif(raw_json #>> '{properties,dealname}', ''))) stored,
  amount            numeric generated always as (sync.to_amount2(nullif(raw_json #>> '{properties,amount}', ''))) stored,
  currency          text generated always as (sync.to_text(nullif(raw_json #>> '{properties,deal_currency_code}', ''))) stored,
  pipeline          text generated always as (sync.to_text(nullif(raw_json #>> '{properties,pipeline}', ''))) stored,
  dealstage         text generated always as (sync.to_text(nullif(raw_json #>> '{properties,dealstage}', ''))) stored,
  qualified_status  text generated always as (sync.to_text(nullif(raw_json #>> '{properties,qualified_status}', ''))) stored,
  trial_status      text generated always as (sync.to_text(nullif(raw_json #>> '{properties,trial_status}', ''))) stored,
  payment_status    text generated always as (sync.to_text(nullif(raw_json #>> '{properties,payment_status}', ''))) stored,
  owner_id          bigint generated always as (sync.to_key(nullif(raw_json #>> '{properties,hubspot_owner_id}', ''))) stored,
  closedate         timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,closedate}', ''))) stored,
  createdate        timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,createdate}', ''))) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,hs_lastmodifieddate}', ''))) stored,
  like sync.record including all
);
create index deals_stage on deals (pipeline, dealstage);
create index deals_synced_at on deals (synced_at);

create table calls (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  occurred_at       timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,hs_timestamp}', ''))) stored,
  title             text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_title}', ''))) stored,
  duration_ms       bigint generated always as (sync.to_whole(nullif(raw_json #>> '{properties,hs_call_duration}', ''))) stored,
  direction         text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_direction}', ''))) stored,
  from_number       text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_from_number}', ''))) stored,
  to_number         text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_to_number}', ''))) stored,
  disposition       text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_disposition}', ''))) stored,
  status            text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_status}', ''))) stored,
  callee_id         bigint generated always as (sync.to_key(nullif(raw_json #>> '{properties,hs_call_callee_object_id}', ''))) stored,
  callee_type       text generated always as (sync.to_text(nullif(raw_json #>> '{properties,hs_call_callee_object_type}', ''))) stored,
  callee_contact_id bigint generated always as (sync.to_key(case when upper(raw_json #>> '{properties,hs_call_callee_object_type}') in ('CONTACT', '0-1') then nullif(raw_json #>> '{properties,hs_call_callee_object_id}', '') end)) stored,
  owner_id          bigint generated always as (sync.to_key(nullif(raw_json #>> '{properties,hubspot_owner_id}', ''))) stored,
  createdate        timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,hs_createdate}', ''))) stored,
  source_changed_at timestamptz generated always as (sync.to_instant(nullif(raw_json #>> '{properties,hs_lastmodifieddate}', ''))) stored,
  like sync.record including all
);
create index calls_occurred_at on calls (occurred_at);
create index calls_synced_at on calls (synced_at);
comment on column calls.direction is 'As the portal''s user sees it: INBOUND means that from_number is the other party.';
comment on column calls.disposition is 'A GUID; HubSpot''s own six are in the view call_outcomes.';

create table contact_associations (
  to_type           text generated always as (sync.to_text(raw_json ->> 'to_type')) stored,
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (to_type, id)
);
comment on table contact_associations is 'A contact and all its associations to one other type.';

create table deal_associations (
  to_type           text generated always as (sync.to_text(raw_json ->> 'to_type')) stored,
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (to_type, id)
);
comment on table deal_associations is 'A deal and all its associations to one other type.';

create table call_associations (
  to_type           text generated always as (sync.to_text(raw_json ->> 'to_type')) stored,
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (to_type, id)
);
comment on table call_associations is 'A call and all its associations to one other type.';

-- Old ids of merged records and the id of today; a chain of merges is followed to its end.
do $$ begin
  execute format($view$
    create view aliases as
      with recursive trail as (
        select entity, key as old_key, into_key, 1 as steps from sync.aliases where account = %1$L
        union all
        select t.entity, t.old_key, a.into_key, t.steps + 1
          from trail t join sync.aliases a on a.account = %1$L and a.entity = t.entity and a.key = t.into_key
         where t.steps < 50
      )
      select distinct on (entity, old_key) entity, sync.to_key(old_key) as old_id, sync.to_key(into_key) as id
        from trail order by entity, old_key, steps desc
  $view$, current_schema());
end $$;

create view contact_aliases as select old_id, id from aliases where entity = 'contacts';

-- One row per pair and type, in every direction; a merged record is shown under the id that it lives on with.
create view associations as
  select distinct a.from_type, coalesce(f.id, a.from_id) as from_id, a.to_type, coalesce(t.id, a.target_id) as to_id,
         a.category, a.type_id, a.label
    from (
      select held.from_type, held.id as from_id, held.to_type,
             sync.to_key(target ->> 'toObjectId') as target_id, kind ->> 'category' as category,
             sync.to_whole(kind ->> 'typeId') as type_id, kind ->> 'label' as label
        from (select 'contacts' as from_type, id, to_type, raw_json from contact_associations
              union all select 'deals', id, to_type, raw_json from deal_associations
              union all select 'calls', id, to_type, raw_json from call_associations) held
        cross join lateral jsonb_array_elements(held.raw_json -> 'to') target
        cross join lateral jsonb_array_elements(target -> 'associationTypes') kind
    ) a
    left join aliases f on f.entity = a.from_type and f.old_id = a.from_id
    left join aliases t on t.entity = a.to_type and t.old_id = a.target_id;

create view contact_deals as
  select distinct from_id as contact_id, to_id as deal_id from associations where from_type = 'contacts' and to_type = 'deals'
  union select to_id, from_id from associations where from_type = 'deals' and to_type = 'contacts';

create view contact_calls as
  select distinct from_id as contact_id, to_id as call_id from associations where from_type = 'contacts' and to_type = 'calls'
  union select to_id, from_id from associations where from_type = 'calls' and to_type = 'contacts';

create view deal_calls as
  select distinct from_id as deal_id, to_id as call_id from associations where from_type = 'deals' and to_type = 'calls'
  union select to_id, from_id from associations where from_type = 'calls' and to_type = 'deals';

create view call_outcomes as
  select * from (values
    ('9d9162e7-6cf3-4944-bf63-4dff82258764', 'Busy'), ('f240bbac-87c9-4f6e-bf70-924b57d47db7', 'Connected'),
    ('a4c4c377-d246-4b32-a13b-75a56a4cd0ff', 'Left live message'), ('b2cf5968-551e-4856-9783-52b3da59a7d0', 'Left voicemail'),
    ('73a0d17f-1163-4015-bdd5-ec830791da20', 'No answer'), ('17b47fee-58de-441e-a44c-c6300d46f273', 'Wrong number')
  ) known(disposition, outcome);

-- Which contact each call belongs to, and why; written by the asset hubspot/call_contacts from the tables above.
create table call_contacts (
  call_id    bigint primary key,
  contact_id bigint,
  how        text not null,
  reason     text,
  number     text,
  synced_at  timestamptz not null default now(),
  constraint how_is_known check (how in ('association', 'callee', 'phone', 'unresolved'))
);
create index call_contacts_contact on call_contacts (contact_id);
comment on column call_contacts.how is 'association, callee, phone (the external party''s number), or unresolved: then reason says why.';
comment on column call_contacts.number is 'The external party''s number in E.164, where it is one.';

-- Dashboards that were built on the former tables go on running; they know one account.
do $$ begin
  if current_schema() = 'hubspot' then
    create view public.hubspot_contacts_raw as select id::text as hubspot_id, t.* from contacts t;
    create view public.hubspot_deals_raw as select id::text as hubspot_id, t.* from deals t;
    create view public.hubspot_calls_raw as select id::text as hubspot_id, t.* from calls t;
  end if;
end $$;
