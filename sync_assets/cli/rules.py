"""`sync-assets rules`: which rules there are, whether they can be understood, what ran, and what is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.cli.terminal import Json, opened, show_rows
from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    from sync_assets.automation.reactions import Book
    from sync_assets.automation.rules import Rule

rules = typer.Typer(
    help="Rules: what is to be done when a record changes. Their files are rules/*.yaml in SYNC_AUTOMATION_FOLDER.",
    no_args_is_help=True,
)

RUNS = """
select id, started_at::text as started, rule_key as rule, account, entity, key, state,
       actions_ok || '/' || actions_total as actions, reason, context
  from sync.rule_runs
 where (%(rule)s = '' or rule_key = %(rule)s) and (%(state)s = '' or state = %(state)s)
   and (%(key)s = '' or key = %(key)s)
 order by id desc limit %(most)s
"""
ACTIONS = """
select rule_run_id, ordinal, action, state, outbox_id, reason from sync.rule_actions
 where rule_run_id = any(%s) order by rule_run_id, ordinal
"""


@rules.command("list")
def list_(as_json: Json = False) -> None:
    """Shows the rules in the order in which they are held against a change. Needs no database."""
    found = _book()
    rows = [
        {
            "rule": rule.key,
            "priority": rule.priority,
            "about": "/".join((rule.account or rule.subject.system, rule.subject.entity)),
            "when": ", ".join(sorted(rule.events)),
            "does": ", ".join(action.do for action in rule.actions),
            "state": "off" if not rule.enabled else "dry run" if rule.dry_run else "on",
            "version": rule.version,
        }
        for rule in found.rules
    ]
    show_rows(rows, "there is no rule yet", as_json=as_json)
    _complain(found)


@rules.command()
def check() -> None:
    """Reads the files of rules and sequences, and says what is wrong with them, with file and line.

    Needs no database. Exit codes: 0; 1 where something is wrong.
    """
    found = _book()
    _complain(found)
    typer.echo(f"{len(found.rules)} rules, {len(found.sequences)} sequences: all is understood")


@rules.command()
def backfill(
    key: Annotated[str, typer.Argument(help="The key of the rule.")],
    account: Annotated[str, typer.Option(help="Only in this account, where there are several.")] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Say for how many records it would run.")] = False,
) -> None:
    """Runs a rule over the records that are in its state already: once for each for which it never ran.

    A record counts as if it had just come from nothing: `changed_to` holds of what it is now, `changed_from` does not.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.automation import rule_work, sequence_runs
    from sync_assets.systems import SYSTEMS

    found = _book()
    rule = _named(found, key)
    accounts = [
        a.name
        for a in connected_accounts(SYSTEMS)[0]
        if a.system.name == rule.subject.system and rule.account in ("", a.name) and account in ("", a.name)
    ]
    if not accounts:
        raise FixConfig(f"no account of {rule.subject.system} is meant", next_step="see sync-assets doctor")
    with opened("rules") as database:
        database.transaction(lambda cursor: sequence_runs.register(cursor, found.sequences, whole=not found.wrong))
        database.transaction(lambda cursor: rule_work.register(cursor, [rule], whole=False))
        for name in accounts:
            states = rule_work.backfill(database, rule, name, dry=dry)
            said = ", ".join(f"{count} {state}" for state, count in states.items())
            typer.echo(f"{name}: {said or 'no record is in its state, or it ran for each'}")


@rules.command()
def runs(
    rule: Annotated[str, typer.Option(help="Only of this rule.")] = "",
    key: Annotated[str, typer.Option(help="Only about this record, by its id.")] = "",
    state: Annotated[str, typer.Option(help="Only matched, done, partial, failed or skipped.")] = "",
    most: Annotated[int, typer.Option(help="How many at most, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Shows what rules did, or why they did not."""
    with opened("rules") as database:

        def work(cursor: Any) -> list[dict[str, Any]]:
            cursor.execute(RUNS, {"rule": rule, "key": key, "state": state, "most": most})
            found = [dict(zip([d.name for d in cursor.description], row, strict=True)) for row in cursor.fetchall()]
            cursor.execute(ACTIONS, ([row["id"] for row in found],))
            actions = cursor.fetchall()
            for row in found:
                own = [a for a in actions if a[0] == row["id"]]
                row["did"] = [{"do": a[2], "state": a[3], "outbox": a[4], "reason": a[5]} for a in own]
            return found

        rows = database.transaction(work)
    if not as_json:
        for row in rows:
            failed = [f"{a['do']}: {a['reason']}" for a in row.pop("did") if a["state"] == "failed"]
            context = row.pop("context")
            row["reason"] = "; ".join(filter(None, [row["reason"], *failed]))
            row["state of record"] = f"{context.get('previousState')} -> {context.get('currentState')}"
    show_rows(rows, "no rule has run", as_json=as_json)


def _named(found: Book, key: str) -> Rule:
    rule = next((r for r in found.rules if r.key == key), None)
    if rule is None:
        _complain(found)
        raise FixConfig(f"there is no rule {key[:60]!r}", next_step="see sync-assets rules list")
    return rule


def _complain(found: Book) -> None:
    """Ends with exit code 1 where something is wrong."""
    for error in found.wrong:
        typer.secho(str(error), fg="red", err=True)
    if found.wrong:
        raise typer.Exit(1)


def _book() -> Book:
    from sync_assets.automation.reactions import book
    from sync_assets.settings import sync_settings

    return book(sync_settings())
