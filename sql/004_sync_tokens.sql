-- scope: database
-- Access tokens that end, and the single-use refresh tokens that renew them: one row per account, tokens only sealed.

create table sync.tokens (
  account         text primary key,
  sealed          text,
  seeds           bytea[] not null default '{}',
  generation      bigint not null default 0,
  access_ends_at  timestamptz,
  refresh_ends_at timestamptz,
  renewed_at      timestamptz not null default now(),
  constraint a_pair_says_when_it_ends check ((sealed is null) = (access_ends_at is null))
);
comment on column sync.tokens.sealed is 'Both tokens, encrypted with a key that is derived from the client secret.';
comment on column sync.tokens.seeds is 'SHA-256 of each refresh token that a person gave and that was used: it takes over once.';
comment on column sync.tokens.generation is 'How often the pair was renewed.';
comment on column sync.tokens.refresh_ends_at is 'When the refresh token ends unless it is used before.';
