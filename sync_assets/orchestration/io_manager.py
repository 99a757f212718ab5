"""Upserts a stream of records into Postgres and tells Dagster what became of it; reads tables back as DataFrames.

A thin adapter: everything that decides is in `sync_assets.sync`, which webhooks use without Dagster. The manager owns
the counts, the row count, the table name and the column schema in the metadata of a materialization.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from sync_assets import shown
from sync_assets.account import Account
from sync_assets.entity import Derived, Entity
from sync_assets.errors import SyncError
from sync_assets.load.derived import store
from sync_assets.load.target import Target
from sync_assets.load.upsert import Counts
from sync_assets.orchestration.lineage import column_description, column_lineage, derived_lineage
from sync_assets.settings import sync_settings
from sync_assets.sync import Connected, Outcome, Request, sync_entity

if TYPE_CHECKING:
    import pandas as pd

PROGRESS_SECONDS = 2.0

PIECE = 5_000
"""Rows that become a DataFrame at once."""


@dataclass(frozen=True)
class RecordStream:
    """An entity's records on their way: nothing is read before the IO manager asks."""

    connection: Connected
    entity: Entity
    request: Request
    following: Sequence[Entity] = ()

    def load(self) -> Outcome:
        """Raises dagster.Failure, which carries the words of the SyncError and nothing of its causes."""
        progress = Progress(self.connection.account.name)
        try:
            outcome = sync_entity(self.connection, self.entity, self.request, progress, following=self.following)
        except SyncError as e:
            progress.failed(self.entity.name, e)
            raise failure(e) from None
        progress.done(self.entity.name, outcome)
        return outcome


def failure(error: SyncError) -> dg.Failure:
    """What Dagster keeps of an error: its words, where it happened and whose move it is."""
    told = copy(error)
    told.where = {name: shown.linkless(str(value)) for name, value in error.where.items()}
    facts = {"error": type(error).__name__, "next_step": error.next_step, **told.where}
    return dg.Failure(str(told), facts, allow_retries=False)


class Progress:
    """Lines for people who wait: one every two seconds of long work, one at the end of each entity."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._started = self._told = time.monotonic()

    def __call__(self, entity: str, counts: Counts, requests: int) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            rate = counts.fetched / max(0.001, now - self._started)
            self._print(entity, f"{counts.fetched:>9,} so far, {requests} requests, {rate:,.0f} records/s")

    def done(self, entity: str, outcome: Outcome) -> None:
        t = outcome.totals
        parts = [f"{t[n]:,} {n}" for n in ("created", "updated", "deleted", "rejected") if t.get(n)]
        said = ", ".join(parts) or "nothing new"
        note = f" ({outcome.note})" if outcome.note else ""
        self._print(entity, f"{t['fetched']:>9,} fetched in {t['seconds']:.1f} s: {said}{note}")

    def failed(self, entity: str, error: SyncError) -> None:
        self._print(entity, f"   FAILED {error}")

    def _print(self, entity: str, text: str) -> None:
        print(f"  {f'{self._account}/{entity}':<30}{text}", file=sys.stdout, flush=True)


@dataclass(frozen=True)
class DerivedTable:
    """A computed frame on its way to its table."""

    connection: Connected
    derived: Derived
    frame: pd.DataFrame

    def store(self) -> dict[str, Any]:
        """Answers the metadata of the materialization."""
        schema, derived = self.connection.account.schema, self.derived
        try:
            counts = self.connection.database.transaction(lambda cursor: store(cursor, schema, derived, self.frame))
        except SyncError as e:
            raise failure(e.at(account=self.connection.account.name, entity=derived.name)) from None
        tally = self.frame[derived.tally].value_counts().to_dict() if derived.tally else {}
        return {
            "dagster/row_count": len(self.frame),
            "dagster/table_name": f"{schema}.{derived.name}",
            "dagster/column_lineage": derived_lineage(self.connection.account, derived),
            **counts,
            **{f"{derived.tally}_{shown.linkless(str(value))}": int(n) for value, n in tally.items()},
        }


class PostgresIOManager(dg.ConfigurableIOManager):
    """Mirrored tables: in by upsert, out as pandas DataFrames."""

    def handle_output(self, context: dg.OutputContext, obj: RecordStream | DerivedTable) -> None:
        if isinstance(obj, DerivedTable):
            context.add_output_metadata(obj.store())
        else:
            context.add_output_metadata(materialization_metadata(obj, obj.load()))

    def load_input(self, context: dg.InputContext) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The upstream table, or the columns that `AssetIn(metadata={"columns": [...]})` names.

        With `metadata={"frames": {name: [table or view, *columns]}}` several of the upstream's schema, by name.
        """
        schema, name = context.asset_key.path
        metadata = context.definition_metadata or {}
        if frames := metadata.get("frames"):
            return {label: _frame(schema, table, columns) for label, (table, *columns) in frames.items()}
        return _frame(schema, name, list(metadata.get("columns", [])))


def _frame(schema: str, name: str, columns: list[str]) -> pd.DataFrame:
    import pandas as pd
    from sqlalchemy import column, create_engine, select, table

    url = sync_settings().database_url
    if url is None:
        raise dg.Failure("DATABASE_URL is not set")
    engine = create_engine("postgresql+psycopg2://" + url.get_secret_value().partition("://")[2])
    try:
        wanted: list[Any] = [column(c, is_literal=c == "*") for c in columns or ["*"]]
        query = select(*wanted)
        # By pieces: all of them at once would be in memory twice more, as Postgres' rows and as Python's.
        pieces = pd.read_sql(query.select_from(table(name, schema=schema)), engine, chunksize=PIECE)
        return pd.concat(pieces, ignore_index=True)
    finally:
        engine.dispose()


def materialization_metadata(stream: RecordStream, outcome: Outcome) -> dict[str, Any]:
    account, target = stream.connection.account, stream.connection.target(stream.entity.name)
    totals = outcome.totals
    seconds = max(0.001, totals["seconds"])
    return {
        "dagster/row_count": outcome.rows,
        "dagster/table_name": table_of(account, stream.entity),
        "dagster/column_schema": column_schema(account, target),
        "dagster/column_lineage": column_lineage(account, target),
        **{name: int(totals[name]) for name in COUNTS},
        "requests": int(totals["requests"]),
        "seconds": round(float(totals["seconds"]), 3),
        "throttled_seconds": round(float(totals["throttled_seconds"]), 3),
        "records_per_second": round(totals["fetched"] / seconds, 1),
        "waiting_links": outcome.waiting,
        "kind": stream.request.kind,
        **({"note": shown.linkless(outcome.note)} if outcome.note else {}),
    }


COUNTS = ("fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected", "deleted")


def column_schema(account: Account, target: Target) -> dg.TableSchema:
    keys = set(target.entity.keys)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                c.type,
                description=column_description(account, target.entity, c),
                constraints=dg.TableColumnConstraints(nullable=c.name not in keys, unique=keys == {c.name}),
            )
            for c in target.columns
        ]
    )


def table_of(account: Account, entity: Entity) -> str:
    return f"{account.schema}.{entity.name}"
