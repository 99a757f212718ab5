-- scope: database
-- The way out: what is to be written to the sources, how far each of it is, and what may stop it.

-- Our words for the states of an order, whichever system it lives in.
create domain sync.order_status as text
  constraint order_status_is_known check (value in
    ('new', 'confirmed', 'paid', 'in_work', 'ready', 'in_delivery', 'completed', 'cancelled', 'refunded', 'problem'));

-- Which code of a source means what. Data: a shop adds its own codes. A code that is not here is never guessed at.
create table sync.status_map (
  system           text not null,
  scope            text not null,
  code             text not null,
  canonical        sync.order_status not null,
  inbound          boolean not null default true,
  outbound_default boolean not null default false,
  primary key (system, scope, code)
);
create unique index status_map_outbound on sync.status_map (system, scope, canonical) where outbound_default;
comment on table sync.status_map is 'Codes of a source and our word for each.';
comment on column sync.status_map.scope is 'Of Bitrix: O of orders, D of their shipments.';
comment on column sync.status_map.inbound is 'Whether a record that bears this code is in that state.';
comment on column sync.status_map.outbound_default is 'The one code that is written where we say this word.';

-- What every Bitrix has from the beginning. Cancelling is a flag there, so no code is written for it.
insert into sync.status_map (system, scope, code, canonical, outbound_default) values
  ('bitrix', 'O', 'N', 'new', true),
  ('bitrix', 'O', 'P', 'paid', true),
  ('bitrix', 'O', 'S', 'in_delivery', true),
  ('bitrix', 'O', 'F', 'completed', true),
  ('bitrix', 'O', 'D', 'cancelled', false),
  ('bitrix', 'D', 'DN', 'new', true),
  ('bitrix', 'D', 'DF', 'in_delivery', true),
  ('bitrix', 'D', 'DD', 'cancelled', true);

-- One row per thing to be done in a source. Written in the transaction of what caused it.
create table sync.outbox (
  id              bigint generated always as identity primary key,
  account         text not null,
  entity          text not null,
  key             text not null,
  operation       text not null,
  payload         jsonb not null,
  base            jsonb not null default '{}',
  state           text not null default 'pending',
  attempts        integer not null default 0,
  next_try_at     timestamptz not null default clock_timestamp(),
  lease_until     timestamptz,
  leased_by       text,
  sent            jsonb,
  sent_at         timestamptz,
  rehearsed_at    timestamptz,
  response        jsonb,
  reason          text,
  idempotency_key text not null unique,
  depth           integer not null default 0,
  cause           text,
  created_at      timestamptz not null default clock_timestamp(),
  done_at         timestamptz,
  constraint state_is_known check (state in
    ('pending', 'sending', 'failed', 'confirmed', 'noop', 'conflict', 'superseded', 'dropped', 'unknown', 'dead')),
  constraint sending_says_until_when check ((state = 'sending') = (lease_until is not null and leased_by is not null)),
  constraint over_says_when check ((state in ('pending', 'sending', 'failed')) = (done_at is null)),
  constraint what_did_not_work_says_why check (state not in ('failed', 'unknown', 'dead') or reason is not null)
);
create index outbox_open on sync.outbox (account, entity, key, id) where state in ('pending', 'sending', 'failed');
create index outbox_due on sync.outbox (account, next_try_at) where state in ('pending', 'sending', 'failed');
create index outbox_sent on sync.outbox (account, entity, key) where sent is not null;
create index outbox_sent_at on sync.outbox (account, sent_at) where sent_at is not null;
create index outbox_over on sync.outbox (done_at) where done_at is not null;
comment on table sync.outbox is 'What is to be written to the sources, in order per record.';
comment on column sync.outbox.payload is 'What is wanted, in our words: {"crm_status": "paid"}.';
comment on column sync.outbox.base is 'What we believed the source to hold when that was wanted.';
comment on column sync.outbox.state is 'pending; sending (leased); failed (tried again at next_try_at); confirmed by a read; noop: it was so already; conflict: the source''s value won; superseded by a later one; dropped by a person; unknown: sent, and nobody can tell whether it arrived; dead: given up.';
comment on column sync.outbox.attempts is 'Counted before the work, so that what kills its worker is given up in the end.';
comment on column sync.outbox.sent is 'What left, in the source''s words, written down before it leaves: such a change is our own when it comes back.';
comment on column sync.outbox.rehearsed_at is 'When a dry run looked at it; `reason` says what would have been written.';
comment on column sync.outbox.depth is 'How many of our own reactions led to it.';

-- What we wrote, field by field: a change that is met here is our own echo, also before its answer was stored.
create view sync.own_writes as
  select o.account, o.entity, o.key, field.key as field, field.value, o.id as outbox_id, o.depth, o.cause, o.sent_at
    from sync.outbox o cross join lateral jsonb_each_text(o.sent) field
   where o.sent is not null and o.state not in ('dead', 'dropped');

create table sync.conflicts (
  outbox_id bigint not null references sync.outbox on delete cascade,
  field     text not null,
  account   text not null,
  entity    text not null,
  key       text not null,
  base      text,
  theirs    text,
  ours      text,
  decision  text not null,
  why       text not null,
  at        timestamptz not null default clock_timestamp(),
  primary key (outbox_id, field),
  constraint decision_is_known check (decision in ('ours', 'theirs'))
);
comment on table sync.conflicts is 'Both sides changed a field: what it was, what each wanted, and who won by which rule.';

-- Whether anything may leave for an account at all.
create table sync.delivery (
  account       text primary key,
  failures      integer not null default 0,
  closed_until  timestamptz,
  closed_reason text,
  fuse_blown_at timestamptz,
  fuse_reason   text,
  released_at   timestamptz,
  released_by   text,
  constraint a_blown_fuse_says_why check ((fuse_blown_at is null) = (fuse_reason is null))
);
comment on table sync.delivery is 'The breaker and the fuse of each account''s way out.';
comment on column sync.delivery.failures is 'How often in a row the account itself failed; each time it is left alone for longer.';
comment on column sync.delivery.fuse_blown_at is 'More was to be written within an hour than plausible; nothing leaves before a person releases it.';
comment on column sync.delivery.released_at is 'What was written down before this does not blow the fuse again.';
