-- scope: database
-- What Bitrix spells its own way.

-- Y and N, beside true, false, 1 and 0.
create function sync.to_flag2(value text) returns boolean
  language sql immutable parallel safe
  return case when value in ('Y', 'true', '1') then true when value in ('N', 'false', '0') then false end;

-- The same as to_moment; a third of its time where seconds have no fraction or a zone is written out.
create function sync.to_moment2(value text) returns timestamptz
  language plpgsql immutable strict parallel safe
  as $$ begin
    if translate(left(value, 19), '123456789', '000000000') = '0000-00-00T00:00:00'
       and substr(value, 20) ~ '^(Z|\.000Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$'
       and substr(value, 1, 4) between '0002' and '9998' and substr(value, 6, 2) between '01' and '12'
       and substr(value, 9, 2) between '01' and '28' and substr(value, 12, 2) < '24'
       and substr(value, 15, 2) < '60' and substr(value, 18, 2) < '60' then
      return value::timestamptz;
    end if;
    return sync.to_moment(value);
  end $$;
