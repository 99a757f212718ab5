"""`sync-assets demo` and `sync-assets up`: the whole product on this machine, leaving no process behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sync_assets.account import connected_accounts
from sync_assets.errors import FixData, SyncError
from sync_assets.load.database import Database
from sync_assets.local import (
    PROJECT,
    SENSORS,
    STATE,
    Clock,
    SandboxProcess,
    bare_environment,
    fresh_database,
    own_folder,
    prepare,
    start_postgres,
    start_sandbox,
)
from sync_assets.local_automation import Won, automation_environment, lead_won, until_rules_listen
from sync_assets.local_webhooks import (
    Arrival,
    arrivals,
    free_port,
    let_vendors_call,
    start_daemon,
    start_receiver,
    until_all_listen,
    until_it_takes_calls,
    webhook_environment,
    written_back,
)
from sync_assets.processes import Supervisor
from sync_assets.settings import environment
from sync_assets.systems import SYSTEMS

DAGSTER = Path(sys.executable).with_name("dagster")

DEMO_RATES = {"kaiten": 60, "worksection": 10, "hubspot": 60, "kommo": 60, "bitrix": 20}
"""Requests per second in the demo: three to twelve times what the vendors let through, or it would mostly wait.
HubSpot's searches and associations keep their own limits."""

LIFE_SECONDS = 20.0
"""How often the sandbox's company moves under `up`."""

NEXT_STEPS = """
What to run next
  make up                     the same in Dagster's UI: assets, checks, schedules
  make test                   the whole suite
  sync-assets doctor          is everything set for real accounts?
  .env.example                the variables of real accounts and of a Postgres of your own
"""


def demo() -> int:
    """Raises Stopped on Ctrl-C; the exit code is that of the first job that failed."""
    out = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    clock = Clock()
    with Supervisor() as supervisor:
        out.print(f"[bold]{clock}  starting Postgres and the sandbox, applying sql/")
        folder = own_folder(supervisor, "demo")
        postgres = start_postgres(supervisor, folder, durable=False)
        sandbox = start_sandbox(
            supervisor, folder, [word for name, rate in DEMO_RATES.items() for word in ("--rate", f"{name}={rate}")]
        )
        url = fresh_database(postgres, "demo")
        rates = {f"{name.upper()}_RATE": str(rate) for name, rate in DEMO_RATES.items()}
        env = bare_environment({**sandbox.environment, **rates, "DATABASE_URL": url})
        prepare(url, env)

        def run(job: str, said: str) -> int:
            out.print(f"\n[bold]{clock}  dagster job execute -m sync_assets.definitions -j {job}[/]   {said}")
            command: list[str | Path] = [DAGSTER, "job", "execute", "-m", "sync_assets.definitions", "-j", job]
            return supervisor.run(command, env={**env, "PYTHONWARNINGS": "ignore"}, cwd=PROJECT)

        code = run("full_sync", "everything, for the first time")
        sandbox.live(steps=10)
        spool = {"SYNC_SPOOL_FOLDER": str(folder / "spool")}
        called = {**env, **webhook_environment(free_port()), **spool, **automation_environment(folder)}
        receiver = start_receiver(supervisor, folder, called)
        code = code or run("incremental_sync", "after the company has moved: what changed")
        # It takes as long to start as the third run takes. Before the second one, its rules would already answer what
        # that finds, and the third would find what they did.
        daemon = start_daemon(supervisor, folder, called)
        code = code or run("incremental_sync", "once more: nothing is written")
        out.print(f"\n[bold]{clock}  {_written(url)}")
        out.print(f"\n[bold]{clock}  sync-assets receive, and Dagster's daemon with its sensors[/]   both ways")
        database = Database(url, name="sync_assets demo")
        try:
            accounts, _ = connected_accounts(SYSTEMS, called)
            until_it_takes_calls(receiver, called)
            let_vendors_call(sandbox, accounts, called)
            until_all_listen(daemon, database, accounts)
            until_rules_listen(daemon, database)
            for arrival in arrivals(sandbox, database, accounts):
                out.print(_told(arrival))
                code = code or int(arrival.seconds is None)
            out.print(
                f"\n[bold]{clock}  automation/rules/won.yaml, automation/sequences/after_sale.yaml[/]   a lead is won"
            )
            won = lead_won(sandbox, database)
            for line in _won(won):
                out.print(line, soft_wrap=True)
            code = code or int(won.task_seconds is None or won.note_seconds is None)
            out.print(f"\n[bold]{clock}  bitrix.orders.crm_status = 'paid', by SQL[/]   the way back")
            paid = written_back(database)
            out.print(_paid(paid))
            code = code or int(paid.seconds is None)
        finally:
            database.close()
        out.print(NEXT_STEPS)
    return code


def up() -> int:
    """Until Ctrl-C. Real accounts and DATABASE_URL are used where they are set, the sandbox and our Postgres else."""
    out = Console(highlight=False)
    own = environment()
    accounts, left_out = connected_accounts(SYSTEMS, own)
    with Supervisor() as supervisor:
        sandbox: SandboxProcess | None = None
        url = own.get("DATABASE_URL", "")
        # Real data stay where they are from run to run; a sandbox's mirror may lie anywhere.
        folder = STATE / "postgres" if accounts else own_folder(supervisor, "sandbox")
        postgres = None if url else start_postgres(supervisor, folder)
        if accounts:
            if postgres is not None:
                url = postgres.start()
            env = {**SENSORS, **own, "DATABASE_URL": url, "DAGSTER_HOME": str(PROJECT)}
        else:
            if postgres is None:
                raise FixData(
                    "DATABASE_URL is set but no account is",
                    next_step="set an account's variables (.env.example), or unset DATABASE_URL to play in the sandbox",
                )
            sandbox = start_sandbox(supervisor, folder)
            # The sandbox's world is born anew each time, so its mirror is too.
            url = fresh_database(postgres, "up")
            spool = {"SYNC_SPOOL_FOLDER": str(folder / "spool")}
            called = {**webhook_environment(free_port()), **spool, "DATABASE_URL": url}
            env = bare_environment({**sandbox.environment, **called})
            accounts, _ = connected_accounts(SYSTEMS, env)
        prepare(url, env)
        receiver = any(account.endpoints for account in accounts)
        if receiver:
            until_it_takes_calls(start_receiver(supervisor, folder, env), env)
        if sandbox:
            let_vendors_call(sandbox, accounts, env)
        port = free_port()
        log = folder / "dagster.log"
        supervisor.spawn(
            "dagster",
            [DAGSTER, "dev", "-w", PROJECT / "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
            env=env,
            cwd=PROJECT,
            log=log,
            grace=15.0,
        )
        for line in () if sandbox else left_out:
            out.print(f"  {line}")
        out.print(f"  Dagster UI  http://127.0.0.1:{port}   (ready in about ten seconds; log: {log})")
        out.print(f"  Postgres    {_without_password(url)}   (its password is in {folder})" if postgres else "")
        if receiver:
            out.print(f"  Webhooks    {env.get('SYNC_PUBLIC_URL')}/webhooks/...   (log: {folder / 'receiver.log'})")
        if sandbox:
            out.print(f"  Sandbox     {sandbox.places['control']}   (its company moves every {LIFE_SECONDS:.0f} s)")
        out.print("  Ctrl-C ends everything.")
        supervisor.watch(each=LIFE_SECONDS, then=(lambda: sandbox.live(steps=1)) if sandbox else None)
    return 0


def _written(url: str) -> str:
    """What the last run of the demo wrote."""
    database = Database(url, name="sync_assets demo")
    try:
        row = database.query(
            "select sum(created + updated + deleted)::bigint, sum(unchanged)::bigint from sync.logs where run_id ="
            " (select run_id from sync.logs where run_id is not null order by id desc limit 1)"
        )
    except SyncError as e:
        return str(e)
    finally:
        database.close()
    return f"the last run found {row[1]:,} records unchanged and wrote {row[0]:,}"


def _told(arrival: Arrival) -> str:
    if arrival.seconds is None:
        return f"  [red]{arrival.account}: a change did not arrive[/]"
    return (
        f"  {arrival.account}: {arrival.event} of {arrival.record} is in Postgres {arrival.seconds * 1000:.0f} ms later"
    )


def _won(won: Won) -> Iterator[str]:
    if won.task_seconds is None:
        yield f"  [red]kommo: lead {won.lead} is won, and no task came of it[/]"
    else:
        done = f'rule "{won.rule}" ran, and its task "{won.task}"'
        yield escape(f"  kommo: lead {won.lead} is won: {done} is in Kommo {won.task_seconds * 1000:.0f} ms later")
    if won.note_seconds is None:
        yield f"  [red]kommo: no sequence began with lead {won.lead}[/]"
    else:
        done = f'sequence "{won.sequence}" began, and its first step, the note "{won.note}",'
        yield escape(f"  kommo: {done} is in Kommo {won.note_seconds * 1000:.0f} ms later")


def _paid(order: Arrival) -> str:
    if order.seconds is None:
        return f"  [red]bitrix: the status of order {order.record} was not written back, or its echo came again[/]"
    what = f"bitrix: order {order.record}, set to paid by SQL, is paid in the shop"
    return f"  {what} {order.seconds * 1000:.0f} ms later; {order.event}"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.split(':')[0]}@{place}"
