"""Values: a text that is there but did not become its column's type, and values that the API is not known to have."""

from __future__ import annotations

import re
from collections import Counter

from psycopg2 import sql

from sync_assets.check.finding import SAMPLE, Finding, Scope


def columns_parse(scope: Scope) -> Finding:
    """No typed column is empty where its source field has a text.

    The expressions come from the database's catalog: the cast is stripped, and what is left is the source text.
    """
    target = scope.own
    columns = [c for c in target.typed if c.source and not c.source.startswith("NULL")]
    unparsed = sql.SQL(", ").join(
        sql.SQL("count(*) filter (where nullif(({source})::text, '') is not null and t.{column} is null)").format(
            source=sql.SQL(c.source or ""), column=sql.Identifier(c.name)
        )
        for c in columns
    )
    query = sql.SQL("select {} from {} t where {}").format(unparsed, target.table, scope.rows)
    counts = scope.ask(query)[0]
    bad = {c.name: n for c, n in zip(columns, counts, strict=True) if n}
    if not bad:
        return Finding("columns_parse", True, f"all {len(columns)} typed columns hold what the source sent")
    worst = next(c for c in columns if c.name in bad)
    sample = sql.SQL(
        "select {key} from {table} t where nullif(({source})::text, '') is not null and t.{column} is null and {rows}"
    ).format(
        key=target.key_text("t"),
        table=target.table,
        source=sql.SQL(worst.source or ""),
        column=sql.Identifier(worst.name),
        rows=scope.rows,
    )
    ids = scope.ask(sample + sql.SQL(" limit {}").format(sql.Literal(SAMPLE)))
    return Finding(
        "columns_parse",
        False,
        f"texts that are not of their column's type: {', '.join(f'{n} in {name}' for name, n in bad.items())}",
        facts={"count": sum(bad.values()), "columns": bad, "sample": [i for (i,) in ids], "query": scope.text(sample)},
    )


def values_known(scope: Scope) -> Finding:
    """Coded columns hold codes that the API is known to have."""
    strange: dict[str, dict[str, int]] = {}
    for column, known in scope.entity.codes.items():
        query = sql.SQL(
            "select t.{column}::text, count(*) from {table} t"
            " where t.{column} is not null and t.{column}::text <> all(%(known)s) and {rows} group by 1 order by 1"
        ).format(column=sql.Identifier(column), table=scope.own.table, rows=scope.rows)
        found: Counter[str] = Counter()
        for value, n in scope.ask(query, {"known": list(known)}):
            found[_plain(value)] += n
        if found:
            strange[column] = dict(found)
    if not strange:
        return Finding("values_known", True, "every code is known", "WARN")
    return Finding(
        "values_known",
        False,
        "codes that are new to us, kept as they are: "
        + "; ".join(f"{column} {', '.join(values)}" for column, values in strange.items()),
        "WARN",
        {"count": sum(n for values in strange.values() for n in values.values()), "values": strange},
    )


def _plain(code: str) -> str:
    """A code as it may be shown: what could be markup in a page is only measured."""
    return code if re.fullmatch(r"[\w .:-]{1,40}", code) else f"({len(code)} characters)"
