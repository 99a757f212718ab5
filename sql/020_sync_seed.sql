-- scope: database
-- What hashes of records begin with. Nobody outside knows it, so nobody can write a record that is changed and has the
-- hash of what it was. Hashes of before it differ: the first sync finds the same content behind them and renews them.

create table sync.hash_seed (
  seed bigint not null,
  one  boolean primary key default true,
  constraint there_is_one check (one)
);
comment on table sync.hash_seed is 'One number of this database; with another one each record''s content is compared once more.';

insert into sync.hash_seed (seed) values (('x' || substr(md5(gen_random_uuid()::text || gen_random_uuid()::text), 1, 16))::bit(64)::bigint);
