"""What commands have in common: the database of the environment, whose name is on record, rows as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sync_assets.errors import FixConfig, MissingSetting

if TYPE_CHECKING:
    from sync_assets.load.database import Database

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
By = Annotated[str, typer.Option(help="Your name; it goes into the records.")]


@contextmanager
def opened(command: str, *, owner: bool = False) -> Iterator[Database]:
    """The database at DATABASE_URL; as `owner` of its tables, where that is somebody else. Raises MissingSetting."""
    from sync_assets.load.database import Database
    from sync_assets.settings import sync_settings

    settings = sync_settings()
    url = settings.owner_url if owner else settings.database_url
    if url is None:
        raise MissingSetting("DATABASE_URL is not set", next_step="set it, or try make demo first")
    database = Database(url.get_secret_value(), wait=5.0, name=f"sync_assets {command}")
    try:
        yield database
    finally:
        database.close()


def signed(by: str) -> str:
    """Whose doing it is. Raises FixConfig for nobody's."""
    if not by.strip():
        raise FixConfig("nobody is named", next_step="say who you are with --by")
    return by.strip()[:100]


def show_rows(rows: Sequence[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    from sync_assets.tables import console

    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        typer.echo(nothing)
    else:
        table = Table(header_style="bold")
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        console().print(table)
