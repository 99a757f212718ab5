"""`sync-assets roles`: the roles of Postgres that keep each process to what it must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.cli.terminal import opened
from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    from sync_assets.load.database import Database


def roles(
    create: Annotated[bool, typer.Option("--create", help="Make the roles and give them their rights.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Look whether the rights are as they should be.")] = False,
    show: Annotated[bool, typer.Option("--sql", help="Print the SQL of --create, for psql.")] = False,
    prefix: Annotated[str, typer.Option(help="What their names begin with; sync_assets if not said.")] = "",
) -> None:
    """Shows the roles owner, writer, receiver and reader with their logins, or makes them, or checks their rights.

    Needs SYNC_OWNER_DATABASE_URL, or DATABASE_URL: of whoever owns the tables and may make roles. Roles are shared by
    all databases of a cluster, so two installations in one need a --prefix each. docs/roles.md says how to use them.

    Exit codes: 0; 1 where a right is missing or too much, or they cannot be made; 2 wrong usage.
    """
    from sync_assets.load import roles as known

    if create + check + show > 1:
        raise typer.BadParameter("choose one of --create, --check and --sql")
    if show:
        typer.echo(known.script(prefix or known.PREFIX))
        return
    with opened("roles", owner=True) as database:
        if create:
            before = known.prefix_of(database)
            found = known.create(database, prefix or before)
            made_for_dagster(database)
            typer.echo(f"the roles have their rights to {found} tables and views")
        _show(database)
        if check:
            wrong = list(known.wrong(database))
            if not known.who(database).made:
                raise FixConfig("there are no roles", next_step="run sync-assets roles --create")
            for said in wrong:
                typer.secho(said, fg="red", err=True)
            if wrong:
                typer.echo("Next: run sync-assets roles --create", err=True)
                raise typer.Exit(1)
            typer.echo("each may do what it must, and no more")


def made_for_dagster(database: Database) -> None:
    """Where there are roles nobody but the owner makes tables: so Dagster's own are made here, not at its start."""
    from sync_assets.load import roles as known
    from sync_assets.orchestration.storage import make_tables

    owner = database.rows(known.OWNER)
    if owner:
        make_tables(database.url, role=owner[0][0])
        database.transaction(known.grant)


def _show(database: Database) -> None:
    from sync_assets.load import roles as known

    found = known.logins(database)
    for kind, role, exists, members in found:
        said = f"logins: {', '.join(members) or 'none yet'}" if exists else "is not in this cluster: run --create"
        typer.echo(f"{kind:9}{role:24}{said}")
    if not found:
        typer.echo("there are no roles: every process works as whoever its DATABASE_URL names. --create makes them")
