-- scope: database
-- Seconds since 1970, as a number or a text.

create function sync.to_epoch(value text) returns timestamptz
  language sql immutable parallel safe
  return case when value ~ '^-?[0-9]+$' and length(value) <= 11
         then timestamptz '1970-01-01 00:00:00+00' + value::bigint * interval '1 second' end;
