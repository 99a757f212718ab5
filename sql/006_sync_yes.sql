-- scope: database
-- What the systems of today say with a letter.

-- Y and N, beside true, false, 1 and 0.
create function sync.to_flag2(value text) returns boolean
  language sql immutable parallel safe
  return case when value in ('Y', 'true', '1') then true when value in ('N', 'false', '0') then false end;
