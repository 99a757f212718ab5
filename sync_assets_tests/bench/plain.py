"""How every plain baseline stores: rows are upserted 500 at a time, each batch in a transaction of its own."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

ROWS = 500


def store(database_url: str, table: str, columns: Sequence[str], pages: Iterable[Sequence[tuple[Any, ...]]]) -> int:
    """Upserts into `plain.table`, whose key is the first of `columns`. Answers how many rows there were."""
    statement = (
        f"insert into plain.{table} ({', '.join(columns)}) values %s on conflict ({columns[0]}) do update set "
        + ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        + ", synced_at = now()"
    )
    stored = 0
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:

        def flush(rows: list[tuple[Any, ...]]) -> int:
            execute_values(cursor, statement, rows, page_size=ROWS)
            connection.commit()
            return len(rows)

        held: list[tuple[Any, ...]] = []
        for page in pages:
            held += page
            if len(held) >= ROWS:
                stored += flush(held)
                held = []
        return stored + (flush(held) if held else 0)
