-- scope: account
-- Kommo. Times are seconds since 1970; the links among records and the values of custom fields are views.

create table users (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  email               text generated always as (sync.to_text(raw_json ->> 'email')) stored,
  lang                text generated always as (sync.to_text(raw_json ->> 'lang')) stored,
  is_admin            boolean generated always as (sync.to_flag(raw_json #>> '{rights,is_admin}')) stored,
  is_active           boolean generated always as (sync.to_flag(raw_json #>> '{rights,is_active}')) stored,
  group_id            bigint generated always as (sync.to_key(raw_json #>> '{rights,group_id}')) stored,
  source_changed_at   timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table pipelines (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  sort                bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  is_main             boolean generated always as (sync.to_flag(raw_json ->> 'is_main')) stored,
  is_archive          boolean generated always as (sync.to_flag(raw_json ->> 'is_archive')) stored,
  source_changed_at   timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table statuses (
  pipeline_id         bigint generated always as (sync.to_key(raw_json ->> 'pipeline_id')) stored,
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  sort                bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  color               text generated always as (sync.to_text(raw_json ->> 'color')) stored,
  type                bigint generated always as (sync.to_whole(raw_json ->> 'type')) stored,
  is_editable         boolean generated always as (sync.to_flag(raw_json ->> 'is_editable')) stored,
  source_changed_at   timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (pipeline_id, id)
);
comment on table statuses is '142 is won and 143 is lost in every pipeline.';

create table loss_reasons (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  sort                bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  created_at          timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'updated_at')) stored,
  like sync.record including all
);

create table custom_fields (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  entity_type         text generated always as (sync.to_text(raw_json ->> 'entity_type')) stored,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  code                text generated always as (sync.to_text(raw_json ->> 'code')) stored,
  type                text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  sort                bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  source_changed_at   timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table leads (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  price               numeric generated always as (sync.to_amount2(raw_json ->> 'price')) stored,
  pipeline_id         bigint generated always as (sync.to_key(raw_json ->> 'pipeline_id')) stored,
  status_id           bigint generated always as (sync.to_key(raw_json ->> 'status_id')) stored,
  loss_reason_id      bigint generated always as (sync.to_key(raw_json ->> 'loss_reason_id')) stored,
  responsible_user_id bigint generated always as (sync.to_key(raw_json ->> 'responsible_user_id')) stored,
  created_by          bigint generated always as (sync.to_key(raw_json ->> 'created_by')) stored,
  updated_by          bigint generated always as (sync.to_key(raw_json ->> 'updated_by')) stored,
  created_at          timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  closed_at           timestamptz generated always as (sync.to_epoch(raw_json ->> 'closed_at')) stored,
  closest_task_at     timestamptz generated always as (sync.to_epoch(raw_json ->> 'closest_task_at')) stored,
  is_deleted          boolean generated always as (sync.to_flag(raw_json ->> 'is_deleted')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'updated_at')) stored,
  like sync.record including all
);
create index leads_status on leads (pipeline_id, status_id);
create index leads_synced_at on leads (synced_at);

create table contacts (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  first_name          text generated always as (sync.to_text(raw_json ->> 'first_name')) stored,
  last_name           text generated always as (sync.to_text(raw_json ->> 'last_name')) stored,
  responsible_user_id bigint generated always as (sync.to_key(raw_json ->> 'responsible_user_id')) stored,
  created_by          bigint generated always as (sync.to_key(raw_json ->> 'created_by')) stored,
  updated_by          bigint generated always as (sync.to_key(raw_json ->> 'updated_by')) stored,
  created_at          timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  closest_task_at     timestamptz generated always as (sync.to_epoch(raw_json ->> 'closest_task_at')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'updated_at')) stored,
  like sync.record including all
);
create index contacts_synced_at on contacts (synced_at);

create table companies (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  responsible_user_id bigint generated always as (sync.to_key(raw_json ->> 'responsible_user_id')) stored,
  created_by          bigint generated always as (sync.to_key(raw_json ->> 'created_by')) stored,
  updated_by          bigint generated always as (sync.to_key(raw_json ->> 'updated_by')) stored,
  created_at          timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  closest_task_at     timestamptz generated always as (sync.to_epoch(raw_json ->> 'closest_task_at')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'updated_at')) stored,
  like sync.record including all
);

create table tasks (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  text                text generated always as (sync.to_text(raw_json ->> 'text')) stored,
  task_type_id        bigint generated always as (sync.to_whole(raw_json ->> 'task_type_id')) stored,
  entity_type         text generated always as (sync.to_text(raw_json ->> 'entity_type')) stored,
  entity_id           bigint generated always as (sync.to_key(raw_json ->> 'entity_id')) stored,
  is_completed        boolean generated always as (sync.to_flag(raw_json ->> 'is_completed')) stored,
  complete_till       timestamptz generated always as (sync.to_epoch(raw_json ->> 'complete_till')) stored,
  duration            bigint generated always as (sync.to_whole(raw_json ->> 'duration')) stored,
  responsible_user_id bigint generated always as (sync.to_key(raw_json ->> 'responsible_user_id')) stored,
  created_by          bigint generated always as (sync.to_key(raw_json ->> 'created_by')) stored,
  updated_by          bigint generated always as (sync.to_key(raw_json ->> 'updated_by')) stored,
  created_at          timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'updated_at')) stored,
  like sync.record including all
);
create index tasks_entity on tasks (entity_type, entity_id);

create table events (
  id                  text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  type                text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  entity_type         text generated always as (sync.to_text(raw_json ->> 'entity_type')) stored,
  entity_id           bigint generated always as (sync.to_key(raw_json ->> 'entity_id')) stored,
  created_by          bigint generated always as (sync.to_key(raw_json ->> 'created_by')) stored,
  source_changed_at   timestamptz generated always as (sync.to_epoch(raw_json ->> 'created_at')) stored,
  like sync.record including all
);
create index events_entity on events (entity_type, entity_id);

-- Which contacts and companies a lead has, as the lead says it.
create view lead_contacts as
  select l.id as lead_id, sync.to_key(c ->> 'id') as contact_id, sync.to_flag(c ->> 'is_main') as is_main
    from leads l cross join lateral jsonb_path_query(l.raw_json, '$._embedded.contacts[*]') c;

create view lead_companies as
  select l.id as lead_id, sync.to_key(c ->> 'id') as company_id
    from leads l cross join lateral jsonb_path_query(l.raw_json, '$._embedded.companies[*]') c;

create view tags as
  select r.entity_type, r.id as entity_id, sync.to_key(t ->> 'id') as tag_id, t ->> 'name' as name
    from (select 'leads' as entity_type, id, raw_json from leads
          union all select 'contacts', id, raw_json from contacts
          union all select 'companies', id, raw_json from companies) r
    cross join lateral jsonb_path_query(r.raw_json, '$._embedded.tags[*]') t;

create view custom_field_values as
  select r.entity_type, r.id as entity_id, sync.to_key(f ->> 'field_id') as field_id, f ->> 'field_name' as field,
         f ->> 'field_code' as code, f ->> 'field_type' as type, v -> 'value' as value,
         coalesce(v ->> 'enum_code', v ->> 'enum') as enum
    from (select 'leads' as entity_type, id, raw_json from leads
          union all select 'contacts', id, raw_json from contacts
          union all select 'companies', id, raw_json from companies) r
    cross join lateral jsonb_path_query(r.raw_json, '$.custom_fields_values[*]') f
    cross join lateral jsonb_path_query(f, '$.values[*]') v;

create view phones_and_emails as
  select entity_type, entity_id, code, value #>> '{}' as value
    from custom_field_values where code in ('PHONE', 'EMAIL');
