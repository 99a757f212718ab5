-- scope: account
-- Kaiten. Facts about the fields: https://developers.kaiten.ru; types as seen on live tenants.

create table spaces (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  access            text generated always as (sync.to_text(raw_json ->> 'access')) stored,
  path              text generated always as (sync.to_text(raw_json ->> 'path')) stored,
  parent_uid        text generated always as (sync.to_text(raw_json ->> 'parent_entity_uid')) stored,
  sort_order        numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  company_id        bigint generated always as (sync.to_whole(raw_json ->> 'company_id')) stored,
  external_id       text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  uid               text generated always as (sync.to_text(raw_json ->> 'uid')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);

create table users (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  full_name         text generated always as (sync.to_text(raw_json ->> 'full_name')) stored,
  username          text generated always as (sync.to_text(raw_json ->> 'username')) stored,
  email             text generated always as (sync.to_text(raw_json ->> 'email')) stored,
  role              bigint generated always as (sync.to_whole(raw_json ->> 'role')) stored,
  activated         boolean generated always as (sync.to_flag(raw_json ->> 'activated')) stored,
  virtual           boolean generated always as (sync.to_flag(raw_json ->> 'virtual')) stored,
  timezone          text generated always as (sync.to_text(raw_json ->> 'timezone')) stored,
  company_id        bigint generated always as (sync.to_whole(raw_json ->> 'company_id')) stored,
  uid               text generated always as (sync.to_text(raw_json ->> 'uid')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index users_email on users (lower(email));

create table card_types (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  letter            text generated always as (sync.to_text(raw_json ->> 'letter')) stored,
  color             bigint generated always as (sync.to_whole(raw_json ->> 'color')) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  company_id        bigint generated always as (sync.to_whole(raw_json ->> 'company_id')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);

create table tags (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  color             bigint generated always as (sync.to_whole(raw_json ->> 'color')) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  company_id        bigint generated always as (sync.to_whole(raw_json ->> 'company_id')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);

create table property_definitions (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  type              text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  condition         text generated always as (sync.to_text(raw_json ->> 'condition')) stored,
  multi_select      boolean generated always as (sync.to_flag(raw_json ->> 'multi_select')) stored,
  show_on_facade    boolean generated always as (sync.to_flag(raw_json ->> 'show_on_facade')) stored,
  author_id         bigint generated always as (sync.to_whole(raw_json ->> 'author_id')) stored,
  external_id       text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);

create table property_values (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  property_id       bigint generated always as (sync.to_key(raw_json ->> 'custom_property_id')) stored,
  value             text generated always as (sync.to_text(raw_json ->> 'value')) stored,
  color             bigint generated always as (sync.to_whole(raw_json ->> 'color')) stored,
  condition         text generated always as (sync.to_text(raw_json ->> 'condition')) stored,
  deleted           boolean generated always as (sync.to_flag(raw_json ->> 'deleted')) stored,
  sort_order        numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  external_id       text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index property_values_property on property_values (property_id);

create table boards (
  id                   bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  title                text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  space_id             bigint generated always as (sync.to_key(raw_json ->> 'space_id')) stored,
  description          text generated always as (sync.to_text(raw_json ->> 'description')) stored,
  default_card_type_id bigint generated always as (sync.to_key(raw_json ->> 'default_card_type_id')) stored,
  type                 bigint generated always as (sync.to_whole(raw_json ->> 'type')) stored,
  sort_order           numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  external_id          text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  uid                  text generated always as (sync.to_text(raw_json ->> 'uid')) stored,
  created_at           timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at    timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index boards_space on boards (space_id);

-- Subcolumns too: column_id is the parent of a subcolumn.
create table columns (
  id                 bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  title              text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  board_id           bigint generated always as (sync.to_key(raw_json ->> 'board_id')) stored,
  column_id          bigint generated always as (sync.to_key(raw_json ->> 'column_id')) stored,
  type               bigint generated always as (sync.to_whole(raw_json ->> 'type')) stored,
  sort_order         numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  col_count          bigint generated always as (sync.to_whole(raw_json ->> 'col_count')) stored,
  wip_limit          bigint generated always as (sync.to_whole(raw_json ->> 'wip_limit')) stored,
  wip_limit_type     bigint generated always as (sync.to_whole(raw_json ->> 'wip_limit_type')) stored,
  archive_after_days bigint generated always as (sync.to_whole(raw_json ->> 'archive_after_days')) stored,
  external_id        text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  created_at         timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at  timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index columns_board on columns (board_id);
comment on column columns.type is '1 queue, 2 in progress, 3 done';

create table lanes (
  id                   bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  title                text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  board_id             bigint generated always as (sync.to_key(raw_json ->> 'board_id')) stored,
  condition            bigint generated always as (sync.to_whole(raw_json ->> 'condition')) stored,
  sort_order           numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  row_count            bigint generated always as (sync.to_whole(raw_json ->> 'row_count')) stored,
  wip_limit            bigint generated always as (sync.to_whole(raw_json ->> 'wip_limit')) stored,
  default_card_type_id bigint generated always as (sync.to_key(raw_json ->> 'default_card_type_id')) stored,
  external_id          text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  created_at           timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at    timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index lanes_board on lanes (board_id);
comment on column lanes.condition is '1 live, 2 archived, 3 deleted';

create table cards (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  title             text generated always as (sync.to_text(raw_json ->> 'title')) stored,
  description       text generated always as (sync.to_text(raw_json ->> 'description')) stored,
  board_id          bigint generated always as (sync.to_key(raw_json ->> 'board_id')) stored,
  column_id         bigint generated always as (sync.to_key(raw_json ->> 'column_id')) stored,
  lane_id           bigint generated always as (sync.to_key(raw_json ->> 'lane_id')) stored,
  space_id          bigint generated always as (sync.to_key(raw_json #>> '{path_data,space,id}')) stored,
  owner_id          bigint generated always as (sync.to_key(raw_json ->> 'owner_id')) stored,
  type_id           bigint generated always as (sync.to_key(raw_json ->> 'type_id')) stored,
  state             bigint generated always as (sync.to_whole(raw_json ->> 'state')) stored,
  condition         bigint generated always as (sync.to_whole(raw_json ->> 'condition')) stored,
  archived          boolean generated always as (sync.to_flag(raw_json ->> 'archived')) stored,
  asap              boolean generated always as (sync.to_flag(raw_json ->> 'asap')) stored,
  blocked           boolean generated always as (sync.to_flag(raw_json ->> 'blocked')) stored,
  size              numeric generated always as (sync.to_amount(raw_json ->> 'size')) stored,
  size_text         text generated always as (sync.to_text(raw_json ->> 'size_text')) stored,
  due_at            timestamptz generated always as (sync.to_moment(raw_json ->> 'due_date')) stored,
  completed_at      timestamptz generated always as (sync.to_moment(raw_json ->> 'completed_at')) stored,
  last_moved_at     timestamptz generated always as (sync.to_moment(raw_json ->> 'last_moved_at')) stored,
  time_spent        bigint generated always as (sync.to_whole(raw_json ->> 'time_spent_sum')) stored,
  sort_order        numeric generated always as (sync.to_amount(raw_json ->> 'sort_order')) stored,
  version           bigint generated always as (sync.to_whole(raw_json ->> 'version')) stored,
  external_id       text generated always as (sync.to_text(raw_json ->> 'external_id')) stored,
  created_at        timestamptz generated always as (sync.to_moment(raw_json ->> 'created')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(raw_json ->> 'updated')) stored,
  like sync.record including all
);
create index cards_board on cards (board_id);
create index cards_synced_at on cards (synced_at);
comment on column cards.state is '1 queued, 2 in progress, 3 done';
comment on column cards.condition is '1 on the board, 2 archived';
comment on column cards.time_spent is 'minutes';
comment on column cards.space_id is 'Only where the card itself says it; see the view card_spaces.';

-- Lists inside the card. A card keeps a copy of the names of its tags and members as they were when the card itself last
-- changed; these views show the names of today.
create view card_tags as
  select c.id as card_id, held.tag_id, coalesce(tags.name, held.name) as name, coalesce(tags.color, held.color) as color
    from cards c
    cross join lateral jsonb_path_query(c.raw_json, '$.tags[*]') t
    cross join lateral (select coalesce(sync.to_key(t ->> 'tag_id'), sync.to_key(t ->> 'id')) as tag_id,
                               t ->> 'name' as name, sync.to_whole(t ->> 'color') as color) held
    left join tags on tags.id = held.tag_id;

create view card_members as
  select c.id as card_id, held.user_id, held.type, coalesce(users.full_name, held.full_name) as full_name
    from cards c
    cross join lateral jsonb_path_query(c.raw_json, '$.members[*]') m
    cross join lateral (select coalesce(sync.to_key(m ->> 'user_id'), sync.to_key(m ->> 'id')) as user_id,
                               sync.to_whole(m ->> 'type') as type, m ->> 'full_name' as full_name) held
    left join users on users.id = held.user_id;

create view card_children as
  select c.id as card_id, sync.to_key(child #>> '{}') as child_id
    from cards c cross join lateral jsonb_path_query(c.raw_json, '$.children_ids[*]') child
  union
  select c.id, sync.to_key(child ->> 'id')
    from cards c cross join lateral jsonb_path_query(c.raw_json, '$.children[*]') child;

-- A select holds option ids, even where it takes only one: option is its text.
create view card_properties as
  select c.id as card_id, d.id as property_id, d.name as property, d.type,
         p.value, v.id as value_id, v.value as option
    from cards c
    cross join lateral jsonb_each(case jsonb_typeof(c.raw_json -> 'properties')
                                    when 'object' then c.raw_json -> 'properties' else '{}' end) p
    left join property_definitions d on d.id = sync.to_key(substr(p.key, 4))
    left join lateral jsonb_path_query(p.value, 'strict $[*]', silent => true) chosen on d.type = 'select'
    left join property_values v on v.id = sync.to_key(chosen #>> '{}') and v.property_id = d.id;

create view card_spaces as
  select c.id as card_id, coalesce(b.space_id, c.space_id) as space_id
    from cards c left join boards b on b.id = c.board_id;

-- Rings among cards end here: depth is bounded and a ring is marked.
create view card_tree as
  with recursive tree as (
    select card_id as root_id, child_id as card_id, 1 as depth from card_children
    union all
    select tree.root_id, c.child_id, tree.depth + 1
      from tree join card_children c on c.card_id = tree.card_id where tree.depth < 50
  ) cycle card_id set is_ring using path
  select root_id, card_id, depth, is_ring from tree;
