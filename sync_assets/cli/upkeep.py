"""`sync-assets upkeep` and `sync-assets forget`: what expires goes, and whoever asks for it is forgotten."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.cli.terminal import By, Json, opened, signed
from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    from sync_assets.account import Account
    from sync_assets.settings import SyncSettings
    from sync_assets.upkeep.clean_up import Tidied
    from sync_assets.upkeep.forgetting import Forgotten


def upkeep(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this, only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Reports links that lead nowhere, and removes what has expired: a dry run unless --apply is said.

    What expires when is set by SYNC_..._DAYS. Needs DATABASE_URL; with DAGSTER_HOME, Dagster's runs and events too.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.load.migrations import require_migrated
    from sync_assets.send.http_post import http_accounts
    from sync_assets.settings import sync_settings
    from sync_assets.systems import SYSTEMS
    from sync_assets.tables import console
    from sync_assets.upkeep.clean_up import clean_up
    from sync_assets.upkeep.orphans import report
    from sync_assets.upkeep.tables import orphan_rows, table, tidied_rows, unknown_rows

    accounts, _ = connected_accounts(SYSTEMS)
    settings = sync_settings()
    with opened("upkeep") as database:
        require_migrated(database, accounts)
        found = report(database, accounts, [account.name for account in http_accounts(settings)])
        tidied = list(clean_up(database, settings, apply=apply))
    of_dagster, said = _of_dagster(settings, apply=apply)
    rows = {
        "orphans": orphan_rows(found),
        "unknown": unknown_rows(found),
        "clean_up": tidied_rows([*tidied, *of_dagster], apply=apply),
    }
    if as_json:
        typer.echo(json.dumps({"applied": apply, **rows, "dagster": said or "looked at"}, indent=2, ensure_ascii=False))
        return
    titles = {
        "orphans": "Links that lead nowhere",
        "unknown": "What nobody knows any more",
        "clean_up": "Went" if apply else "Would go (a dry run: --apply removes it)",
    }
    for name, title in titles.items():
        console().print(table(title, rows[name]) if rows[name] else f"{title}: nothing")
    if said:
        typer.echo(said)


def forget(
    account: Annotated[str, typer.Argument(help="Whose record it is: hubspot, kommo_emea.")],
    entity: Annotated[str, typer.Argument(help="Of which table: contacts.")],
    key: Annotated[str, typer.Argument(metavar="ID", help="Its key, as the table has it.")],
    by: By,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be erased.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Even where the source still has it.")] = False,
    block: Annotated[bool, typer.Option("--block", help="And never take it in again.")] = False,
) -> None:
    """Erases a record everywhere but for its key, and leaves a receipt in sync.erasures.

    Its table, tombstones, refused records, webhooks, what happened to it, what was written or was to be written because
    of it, the log of activities, and the spool of this machine. Where the source still has it, a later sync would bring
    it back: then nothing is done, unless you say --anyway or --block.

    Exit codes: 0; 1 where nothing was erased, and standard error says why.
    """
    from sync_assets.settings import sync_settings
    from sync_assets.sync import connected
    from sync_assets.upkeep.forgetting import forget as erase

    name = signed(by)
    of = _account(account, entity)
    with connected(of, sync_settings()) as connection:
        done = erase(connection, entity, key, by=name, dry=dry, anyway=anyway, block=block)
    _tell(done, dry=dry, block=block)


def _tell(done: Forgotten, *, dry: bool, block: bool) -> None:
    for place, count in sorted(done.rows.items()):
        typer.echo(f"{place}: {count:,} {'would be erased' if dry else 'erased'}")
    for place, count in done.pointing.items():
        typer.echo(f"{place}: {count:,} rows lead to it and stay as they are")
    for note in done.notes:
        typer.echo(note)
    back = {
        "there": "the source still has it: the next sync that meets it brings it back",
        "binned": "it is in the source's bin: it comes back when it is restored there",
        "gone": "the source does not have it",
        "unknown": f"whether the source has it is not known ({done.standing.says}): if so, it comes back",
    }[done.standing.state]
    typer.echo("it is never taken in again" if block else back)
    if done.receipt is not None:
        typer.echo(f"receipt {done.receipt} of sync.erasures")


def _account(name: str, entity: str) -> Account:
    from sync_assets.account import connected_accounts
    from sync_assets.systems import SYSTEMS

    accounts = {a.name: a for a in connected_accounts(SYSTEMS)[0]}
    if name not in accounts:
        raise FixConfig(f"no account {name[:60]!r} is connected", next_step=f"choose one of {', '.join(accounts)}")
    names = [e.name for e in accounts[name].entities]
    if entity not in names:
        raise FixConfig(f"{name} has no entity {entity[:60]!r}", next_step=f"choose one of {', '.join(names)}")
    return accounts[name]


def _of_dagster(settings: SyncSettings, *, apply: bool) -> tuple[list[Tidied], str]:
    """Imported here, so that other commands start without Dagster."""
    from sync_assets.orchestration.queue import dagster_instance
    from sync_assets.orchestration.run_retention import retain

    with ExitStack() as ends:
        try:
            instance = ends.enter_context(dagster_instance())
        except FixConfig as e:
            return [], f"Dagster's runs and events were left alone: {e.what}"
        return list(retain(instance, settings, apply=apply)), ""
