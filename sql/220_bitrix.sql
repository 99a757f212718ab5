-- scope: account
-- Bitrix. Ids are the shop's own numbers; what belongs to an order or a person is joined by bitrix_order_id and
-- bitrix_user_id, whichever table it is in.

create table order_statuses (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  type              text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  sort              bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  notify            boolean generated always as (sync.to_flag2(raw_json ->> 'notify')) stored,
  color             text generated always as (sync.to_text(raw_json ->> 'color')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
comment on table order_statuses is 'Codes of orders. What they are called is in status_langs.';

create table delivery_statuses (
  id                text generated always as (sync.to_text(raw_json ->> 'id')) stored primary key,
  type              text generated always as (sync.to_text(raw_json ->> 'type')) stored,
  sort              bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  notify            boolean generated always as (sync.to_flag2(raw_json ->> 'notify')) stored,
  color             text generated always as (sync.to_text(raw_json ->> 'color')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
comment on table delivery_statuses is 'Codes of shipments. What they are called is in status_langs.';

create table status_langs (
  status_id         text generated always as (sync.to_text(raw_json ->> 'statusId')) stored,
  lid               text generated always as (sync.to_text(raw_json ->> 'lid')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  description       text generated always as (sync.to_text(raw_json ->> 'description')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all,
  primary key (status_id, lid)
);

create table users (
  id                bigint generated always as (sync.to_key(raw_json ->> 'ID')) stored primary key,
  bitrix_user_id    bigint generated always as (sync.to_key(raw_json ->> 'ID')) stored,
  active            boolean generated always as (sync.to_flag2(raw_json ->> 'ACTIVE')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'NAME')) stored,
  last_name         text generated always as (sync.to_text(raw_json ->> 'LAST_NAME')) stored,
  second_name       text generated always as (sync.to_text(raw_json ->> 'SECOND_NAME')) stored,
  email             text generated always as (sync.to_text(raw_json ->> 'EMAIL')) stored,
  mobile            text generated always as (sync.to_text(raw_json ->> 'PERSONAL_MOBILE')) stored,
  work_phone        text generated always as (sync.to_text(raw_json ->> 'WORK_PHONE')) stored,
  work_position     text generated always as (sync.to_text(raw_json ->> 'WORK_POSITION')) stored,
  user_type         text generated always as (sync.to_text(raw_json ->> 'USER_TYPE')) stored,
  registered_at     timestamptz generated always as (sync.to_moment2(raw_json ->> 'DATE_REGISTER')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index users_bitrix_user_id on users (bitrix_user_id);
create index users_email on users (lower(email));
comment on table users is 'Of each person only the parts that the product names; never a password or a checkword.';

create table catalogs (
  iblock_id         bigint generated always as (sync.to_key(raw_json ->> 'iblockId')) stored primary key,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  lid               text generated always as (sync.to_text(raw_json ->> 'lid')) stored,
  product_iblock_id bigint generated always as (sync.to_key(raw_json ->> 'productIblockId')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table sections (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  iblock_id         bigint generated always as (sync.to_key(raw_json ->> 'iblockId')) stored,
  parent_id         bigint generated always as (sync.to_key(raw_json ->> 'iblockSectionId')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  code              text generated always as (sync.to_text(raw_json ->> 'code')) stored,
  active            boolean generated always as (sync.to_flag2(raw_json ->> 'active')) stored,
  sort              bigint generated always as (sync.to_whole(raw_json ->> 'sort')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);

create table products (
  id                  bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  iblock_id           bigint generated always as (sync.to_key(raw_json ->> 'iblockId')) stored,
  section_id          bigint generated always as (sync.to_key(raw_json ->> 'iblockSectionId')) stored,
  name                text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  code                text generated always as (sync.to_text(raw_json ->> 'code')) stored,
  active              boolean generated always as (sync.to_flag2(raw_json ->> 'active')) stored,
  type                bigint generated always as (sync.to_whole(raw_json ->> 'type')) stored,
  quantity            numeric generated always as (sync.to_amount2(raw_json ->> 'quantity')) stored,
  available           boolean generated always as (sync.to_flag2(raw_json ->> 'available')) stored,
  purchasing_price    numeric generated always as (sync.to_amount2(raw_json ->> 'purchasingPrice')) stored,
  purchasing_currency text generated always as (sync.to_text(raw_json ->> 'purchasingCurrency')) stored,
  xml_id              text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  created_at          timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateCreate')) stored,
  source_changed_at   timestamptz generated always as (sync.to_moment2(raw_json ->> 'timestampX')) stored,
  like sync.record including all
);
create index products_section_id on products (section_id);
create index products_xml_id on products (xml_id);

create table prices (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  product_id        bigint generated always as (sync.to_key(raw_json ->> 'productId')) stored,
  catalog_group_id  bigint generated always as (sync.to_key(raw_json ->> 'catalogGroupId')) stored,
  price             numeric generated always as (sync.to_amount2(raw_json ->> 'price')) stored,
  currency          text generated always as (sync.to_text(raw_json ->> 'currency')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index prices_product_id on prices (product_id);

create table orders (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  bitrix_order_id   bigint generated always as (sync.to_key(raw_json ->> 'id')) stored,
  bitrix_user_id    bigint generated always as (sync.to_key(raw_json ->> 'userId')) stored,
  responsible_id    bigint generated always as (sync.to_key(raw_json ->> 'responsibleId')) stored,
  account_number    text generated always as (sync.to_text(raw_json ->> 'accountNumber')) stored,
  status_id         text generated always as (sync.to_text(raw_json ->> 'statusId')) stored,
  status_changed_at timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateStatus')) stored,
  price             numeric generated always as (sync.to_amount2(raw_json ->> 'price')) stored,
  discount          numeric generated always as (sync.to_amount2(raw_json ->> 'discountValue')) stored,
  tax               numeric generated always as (sync.to_amount2(raw_json ->> 'taxValue')) stored,
  currency          text generated always as (sync.to_text(raw_json ->> 'currency')) stored,
  paid              boolean generated always as (sync.to_flag2(raw_json ->> 'payed')) stored,
  shipped           boolean generated always as (sync.to_flag2(raw_json ->> 'deducted')) stored,
  canceled          boolean generated always as (sync.to_flag2(raw_json ->> 'canceled')) stored,
  reason_canceled   text generated always as (sync.to_text(raw_json ->> 'reasonCanceled')) stored,
  canceled_at       timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateCanceled')) stored,
  site              text generated always as (sync.to_text(raw_json ->> 'lid')) stored,
  person_type_id    bigint generated always as (sync.to_key(raw_json ->> 'personTypeId')) stored,
  comments          text generated always as (sync.to_text(raw_json ->> 'comments')) stored,
  user_description  text generated always as (sync.to_text(raw_json ->> 'userDescription')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  external_id       text generated always as (sync.to_text(raw_json ->> 'id1c')) stored,
  version           bigint generated always as (sync.to_whole(raw_json ->> 'version')) stored,
  created_at        timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateInsert')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateUpdate')) stored,
  like sync.record including all
);
create index orders_bitrix_order_id on orders (bitrix_order_id);
create index orders_bitrix_user_id on orders (bitrix_user_id);
create index orders_source_changed_at on orders (source_changed_at);
comment on table orders is 'A cancelled order is told by its flag, whatever its status.';

create table order_items (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  bitrix_order_id   bigint generated always as (sync.to_key(raw_json ->> 'orderId')) stored,
  product_id        bigint generated always as (sync.to_key(raw_json ->> 'productId')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  quantity          numeric generated always as (sync.to_amount2(raw_json ->> 'quantity')) stored,
  price             numeric generated always as (sync.to_amount2(raw_json ->> 'price')) stored,
  base_price        numeric generated always as (sync.to_amount2(raw_json ->> 'basePrice')) stored,
  discount          numeric generated always as (sync.to_amount2(raw_json ->> 'discountPrice')) stored,
  currency          text generated always as (sync.to_text(raw_json ->> 'currency')) stored,
  vat_rate          numeric generated always as (sync.to_amount2(raw_json ->> 'vatRate')) stored,
  vat_included      boolean generated always as (sync.to_flag2(raw_json ->> 'vatIncluded')) stored,
  measure           text generated always as (sync.to_text(raw_json ->> 'measureName')) stored,
  product_xml_id    text generated always as (sync.to_text(raw_json ->> 'productXmlId')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'xmlId')) stored,
  created_at        timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateInsert')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateUpdate')) stored,
  like sync.record including all
);
create index order_items_bitrix_order_id on order_items (bitrix_order_id);
create index order_items_product_id on order_items (product_id);
comment on table order_items is 'Product 0 is not from the catalogue.';

create table payments (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  bitrix_order_id   bigint generated always as (sync.to_key(raw_json ->> 'orderId')) stored,
  account_number    text generated always as (sync.to_text(raw_json ->> 'accountNumber')) stored,
  paid              boolean generated always as (sync.to_flag2(raw_json ->> 'paid')) stored,
  paid_at           timestamptz generated always as (sync.to_moment2(raw_json ->> 'datePaid')) stored,
  sum               numeric generated always as (sync.to_amount2(raw_json ->> 'sum')) stored,
  currency          text generated always as (sync.to_text(raw_json ->> 'currency')) stored,
  pay_system_id     bigint generated always as (sync.to_key(raw_json ->> 'paySystemId')) stored,
  pay_system        text generated always as (sync.to_text(raw_json ->> 'paySystemName')) stored,
  is_return         boolean generated always as (sync.to_flag2(raw_json ->> 'isReturn')) stored,
  billed_at         timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateBill')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index payments_bitrix_order_id on payments (bitrix_order_id);

create table shipments (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  bitrix_order_id   bigint generated always as (sync.to_key(raw_json ->> 'orderId')) stored,
  account_number    text generated always as (sync.to_text(raw_json ->> 'accountNumber')) stored,
  status_id         text generated always as (sync.to_text(raw_json ->> 'statusId')) stored,
  delivery_id       bigint generated always as (sync.to_key(raw_json ->> 'deliveryId')) stored,
  delivery          text generated always as (sync.to_text(raw_json ->> 'deliveryName')) stored,
  price             numeric generated always as (sync.to_amount2(raw_json ->> 'priceDelivery')) stored,
  currency          text generated always as (sync.to_text(raw_json ->> 'currency')) stored,
  allowed           boolean generated always as (sync.to_flag2(raw_json ->> 'allowDelivery')) stored,
  shipped           boolean generated always as (sync.to_flag2(raw_json ->> 'deducted')) stored,
  shipped_at        timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateDeducted')) stored,
  tracking_number   text generated always as (sync.to_text(raw_json ->> 'trackingNumber')) stored,
  created_at        timestamptz generated always as (sync.to_moment2(raw_json ->> 'dateInsert')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index shipments_bitrix_order_id on shipments (bitrix_order_id);

create table order_properties (
  id                bigint generated always as (sync.to_key(raw_json ->> 'id')) stored primary key,
  bitrix_order_id   bigint generated always as (sync.to_key(raw_json ->> 'orderId')) stored,
  property_id       bigint generated always as (sync.to_key(raw_json ->> 'orderPropsId')) stored,
  code              text generated always as (sync.to_text(raw_json ->> 'code')) stored,
  name              text generated always as (sync.to_text(raw_json ->> 'name')) stored,
  value             text generated always as (sync.to_text(raw_json ->> 'value')) stored,
  xml_id            text generated always as (sync.to_text(raw_json ->> 'orderPropsXmlId')) stored,
  source_changed_at timestamptz generated always as (sync.to_moment(null)) stored,
  like sync.record including all
);
create index order_properties_bitrix_order_id on order_properties (bitrix_order_id);

-- Orders that point at people or goods which are not here: what is known of each, and how.
do $$ begin
  execute format($view$
    create view order_gaps as
      select o.id as order_id, 'users' as entity, m.key, m.state, m.evidence
        from orders o join sync.missing_parents m
          on m.account = %1$L and m.entity = 'users' and m.child_entity = 'orders'
         and m.key in (o.bitrix_user_id::text, o.responsible_id::text)
      union
      select i.bitrix_order_id, 'products', m.key, m.state, m.evidence
        from order_items i join sync.missing_parents m
          on m.account = %1$L and m.entity = 'products' and m.child_entity = 'order_items' and m.key = i.product_id::text
  $view$, current_schema());
end $$;
