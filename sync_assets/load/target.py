"""A mirrored table as the database's catalog describes it: the one place that knows columns, because `sql/` does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.entity import Entity
from sync_assets.errors import NotMigrated
from sync_assets.load.cursor import Cursor

RECORD = ("raw_json", "seen", "sync_id", "payload_hash", "payload_shape", "first_seen_at", "synced_at")

LONGEST_KEY = 250
"""Characters: far below the 2,700 bytes of an index entry, and as many as a regular expression can count."""

COLUMNS = """
select n.name, a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid),
       (select description from pg_description d
         where (d.classoid, d.objoid, d.objsubid) = ('pg_class'::regclass, a.attrelid, a.attnum)),
       coalesce((select seed from sync.hash_seed), 0)
  from unnest(%(entities)s::text[]) n(name)
  join pg_attribute a on a.attrelid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(n.name))
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated <> ''
 where a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum
"""

CAST = re.compile(r"^sync\.to_([a-z]+[a-z_]*\d*)\((.*)\)$", re.DOTALL)

FIELD = re.compile(r"^\(raw_json ->> '([^']+)'::text\)$")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    expression: str | None  # sync.to_<kind>(<source>), schema-qualified; None for the columns of sync.record
    comment: str | None

    @property
    def source(self) -> str | None:
        """The text expression below the cast."""
        match = CAST.match(self.expression or "")
        return match.group(2) if match else None


@dataclass(frozen=True)
class Target:
    account: str
    schema: str
    entity: Entity
    columns: tuple[Column, ...]
    keeps_evidence: bool = True  # the bytes of records that are refused or mended
    seed: int = 0  # of hashes

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.entity.name)

    @property
    def typed(self) -> list[Column]:
        return [c for c in self.columns if c.expression]

    def type_of(self, name: str) -> str:
        return next(c.type for c in self.columns if c.name == name)

    @cached_property
    def key_fields(self) -> tuple[str, ...]:
        """The field of a record that each part of its key comes from."""
        sources = ((next(c for c in self.columns if c.name == k).source or "") for k in self.entity.keys)
        named = [FIELD.match(source) for source in sources]
        return tuple(found.group(1) if found else key for found, key in zip(named, self.entity.keys, strict=True))

    @cached_property
    def numeric_keys(self) -> tuple[bool, ...]:
        return tuple(self.type_of(k) == "bigint" for k in self.entity.keys)

    @cached_property
    def one_number(self) -> bool:
        """Whether a key is just a number."""
        return self.numeric_keys == (True,)

    def key_text(self, alias: str) -> sql.Composable:
        """The key of a row as one text, as `key_reader` spells it."""
        parts = sql.SQL(" || '/' || ").join(
            sql.SQL("{}::text").format(sql.Identifier(alias, k)) for k in self.entity.keys
        )
        return sql.SQL("({})").format(parts)

    def key_columns(self, alias: str | None = None) -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(alias, k) if alias else sql.Identifier(k) for k in self.entity.keys)

    def parts(self, key: str) -> sql.Composable:
        """The SQL expression `key`, a key as one text, taken apart into a text[]."""
        return sql.SQL(f"string_to_array({key}, '/')" if len(self.entity.keys) > 1 else f"array[{key}]")

    def key_of(self, document: str) -> sql.Composable:
        """The canonical key in the jsonb expression `document`, NULL where `canonical` would answer None."""
        number = f"sync.to_key({document} ->> {{key}})::text"
        letter = "." if len(self.entity.keys) == 1 else "[^/]"
        text = f"substring({document} ->> {{key}} from '^{letter}{{{{1,{LONGEST_KEY}}}}}$')"
        parts = [
            sql.SQL(number if numeric else text).format(key=sql.Literal(field))
            for field, numeric in zip(self.key_fields, self.numeric_keys, strict=True)
        ]
        return sql.SQL("({})").format(sql.SQL(" || '/' || ").join(parts))

    def same_key(self, alias: str, parts: sql.Composable) -> sql.Composable:
        """`alias`'s key equals the text[] `parts`."""
        return sql.SQL(" and ").join(
            sql.SQL("{} = ({}::text[])[{}]::{}").format(
                sql.Identifier(alias, k), parts, sql.Literal(i + 1), sql.SQL(self.type_of(k))
            )  # catalog's own word
            for i, k in enumerate(self.entity.keys)
        )

    def canonical(self, key: str) -> str | None:
        """The one spelling of this key, None where the text cannot be a key of the table."""
        if self.one_number:
            # Each record of each sync passes here.
            if not (key.isdigit() and key.isascii() and len(key) <= 18):
                return None
            return key if key[0] != "0" else str(int(key))
        parts = key.split("/") if len(self.entity.keys) > 1 else [key]
        if len(parts) != len(self.entity.keys):
            return None
        spelled = []
        for part, numeric in zip(parts, self.numeric_keys, strict=True):
            if numeric and not (part.isascii() and part.isdigit() and len(part) <= 18):
                return None
            if "\0" in part or len(part) > LONGEST_KEY:
                return None
            spelled.append(str(int(part)) if numeric else part)
        return "/".join(spelled)


def key_array(keys: list[str]) -> str | list[str]:
    """Keys as a text[] for a statement: numbers need no quotes, each of which would be looked for in every key."""
    digits = "".join(keys)
    return f"{{{','.join(keys)}}}" if digits.isascii() and digits.isdigit() else keys


def targets(
    cursor: Cursor, account: Account, entities: Iterable[str], *, keeps_evidence: bool = True
) -> dict[str, Target]:
    """By the names of these entities: several cost hardly more than one. Raises NotMigrated where a table is not there.

    Who asks for more than is needed may wait for somebody's lock on a table that is none of their business.
    """
    wanted = list(entities)
    cursor.later("set local search_path = ''")
    cursor.execute(COLUMNS, {"schema": account.schema, "entities": wanted})
    columns: dict[str, list[Column]] = {}
    seed = 0
    for name, *column, told in cursor:
        columns.setdefault(name, []).append(Column(*column))
        seed = told
    if missing := set(wanted) - columns.keys():
        raise NotMigrated(f"the table {account.schema}.{min(missing)} is not there")
    return {
        name: Target(account.name, account.schema, account.entity(name), tuple(found), keeps_evidence, seed)
        for name, found in columns.items()
    }
