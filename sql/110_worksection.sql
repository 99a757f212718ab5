-- scope: account
-- Worksection. Ids are strings there and so here. Times carry no zone: they are kept as local time.
-- projects, users, tags and tasks are what the API has; stages, objects and sections are built from them.

create table projects (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  status            text generated always as (sync.to_text(raw_json ->> 'status')) stored,
  company           text generated always as (sync.to_text(raw_json ->> 'company')) stored,
  page              text generated always as (sync.to_text(raw_json ->> 'page')) stored,
  manager_id        text generated always as (sync.to_text(raw_json #>> '{user_to,id}')) stored,
  manager_email     text generated always as (sync.to_text(raw_json #>> '{user_to,email}')) stored,
  author_id         text generated always as (sync.to_text(raw_json #>> '{user_from,id}')) stored,
  added_at          timestamp generated always as (sync.to_local_moment(raw_json ->> 'date_added')) stored,
  closed_at         timestamp generated always as (sync.to_local_moment(raw_json ->> 'date_closed')) stored,
  start_date        date generated always as (sync.to_day(raw_json ->> 'date_start')) stored,
  end_date          date generated always as (sync.to_day(raw_json ->> 'date_end')) stored,
  max_time          numeric generated always as (sync.to_amount(raw_json ->> 'max_time')) stored,
  max_money         numeric generated always as (sync.to_amount(raw_json ->> 'max_money')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table users (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  email             text generated always as (sync.to_text(raw_json ->> 'email')) stored,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  role              text generated always as (sync.to_text(raw_json ->> 'role')) stored,
  user_group        text generated always as (sync.to_text(raw_json ->> 'group')) stored,
  department        text generated always as (sync.to_text(raw_json ->> 'department')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index users_email on users (lower(email));

create table task_tags (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  group_id          text generated always as (sync.to_text(raw_json #>> '{group,id}')) stored,
  group_title       text generated always as (sync.to_text(raw_json #>> '{group,title}')) stored,
  group_type        text generated always as (sync.to_text(raw_json #>> '{group,type}')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table project_tags (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  group_id          text generated always as (sync.to_text(raw_json #>> '{group,id}')) stored,
  group_title       text generated always as (sync.to_text(raw_json #>> '{group,title}')) stored,
  group_type        text generated always as (sync.to_text(raw_json #>> '{group,type}')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

-- Top-level tasks with their children inside, active and closed, of every project.
create table tasks (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  project_id        text generated always as (sync.to_text(raw_json #>> '{project,id}')) stored,
  status            text generated always as (sync.to_text(raw_json ->> 'status')) stored,
  priority          bigint generated always as (sync.to_whole(raw_json ->> 'priority')) stored,
  responsible_id    text generated always as (sync.to_text(raw_json #>> '{user_to,id}')) stored,
  author_id         text generated always as (sync.to_text(raw_json #>> '{user_from,id}')) stored,
  added_at          timestamp generated always as (sync.to_local_moment(raw_json ->> 'date_added')) stored,
  closed_at         timestamp generated always as (sync.to_local_moment(raw_json ->> 'date_closed')) stored,
  start_date        date generated always as (sync.to_day(raw_json ->> 'date_start')) stored,
  end_date          date generated always as (sync.to_day(raw_json ->> 'date_end')) stored,
  max_time          numeric generated always as (sync.to_amount(raw_json ->> 'max_time')) stored,
  max_money         numeric generated always as (sync.to_amount(raw_json ->> 'max_money')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index tasks_project on tasks (project_id);

create table stages (
  project_id        text generated always as (sync.to_text(raw_json ->> 'project_id')) stored,
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (project_id, id)
);
comment on table stages is 'A stage of a project: a project tag that matches WORKSECTION_STAGE_PATTERN, or a top-level task under WORKSECTION_MAPPING=depth.';

create table objects (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  project_id        text generated always as (sync.to_text(raw_json ->> 'project_id')) stored,
  stage_id          text generated always as (sync.to_text(raw_json ->> 'stage_id')) stored,
  status            text generated always as (sync.to_text(raw_json ->> 'status')) stored,
  description       text generated always as (sync.to_text(raw_json ->> 'text')) stored,
  responsible_id    text generated always as (sync.to_text(raw_json #>> '{user_to,id}')) stored,
  responsible_email text generated always as (sync.to_text(raw_json #>> '{user_to,email}')) stored,
  start_date        date generated always as (sync.to_day(raw_json ->> 'date_start')) stored,
  end_date          date generated always as (sync.to_day(raw_json ->> 'date_end')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index objects_stage on objects (project_id, stage_id);
comment on column objects.stage_id is '''none'' is the bucket of objects without a stage';

create table sections (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  project_id        text generated always as (sync.to_text(raw_json ->> 'project_id')) stored,
  object_id         text generated always as (sync.to_text(raw_json ->> 'object_id')) stored,
  status            text generated always as (sync.to_text(raw_json ->> 'status')) stored,
  description       text generated always as (sync.to_text(raw_json ->> 'text')) stored,
  responsible_id    text generated always as (sync.to_text(raw_json #>> '{user_to,id}')) stored,
  responsible_email text generated always as (sync.to_text(raw_json #>> '{user_to,email}')) stored,
  start_date        date generated always as (sync.to_day(raw_json ->> 'date_start')) stored,
  end_date          date generated always as (sync.to_day(raw_json ->> 'date_end')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index sections_object on sections (object_id);

create view hierarchy as
  select p.id as project_id, p.name as project, o.stage_id, coalesce(st.title, 'no stage') as stage,
         o.id as object_id, o.name as object, s.id as section_id, s.name as section
    from objects o
    join projects p on p.id = o.project_id
    left join stages st on st.project_id = o.project_id and st.id = o.stage_id
    left join sections s on s.object_id = o.id;

-- Tags on tasks and projects; on the source they are an object {id: title}, absent where there are none.
create view tags_of_tasks as
  select t.id as task_id, tag.key as tag_id, tag.value as title
    from tasks t cross join lateral jsonb_each_text(coalesce(t.raw_json -> 'tags', '{}')) tag;

create view tags_of_projects as
  select p.id as project_id, tag.key as tag_id, tag.value as title
    from projects p cross join lateral jsonb_each_text(coalesce(p.raw_json -> 'tags', '{}')) tag;
