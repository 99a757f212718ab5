"""One sync of one entity, from its API to rows: the composition of extract and load, without Dagster.

Batch runs, healing of missing parents and webhooks all come through `sync_entity`; there is no second way into a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sync_assets.entity import Entity, Inside
from sync_assets.errors import CallVendor, FixConfig, RetryLater, SyncError
from sync_assets.load import parents
from sync_assets.load.heard import note_unheard
from sync_assets.load.heartbeat import beating
from sync_assets.load.ledger import Ledger
from sync_assets.load.standing import standing
from sync_assets.load.unleased import Unleased
from sync_assets.sync.connection import Connected, connected
from sync_assets.sync.entity_sync import EntitySync
from sync_assets.sync.request import Kind, Outcome, Progress, Request

__all__ = ["Connected", "Kind", "Outcome", "Progress", "Request", "connected", "sync_entity"]


def sync_entity(
    connection: Connected,
    entity: Entity,
    request: Request,
    progress: Progress | None = None,
    *,
    following: Sequence[Entity] = (),
) -> Outcome:
    """`following` are asked for by the same request after this one, in this order.

    Raises the SyncError that stopped it, after it is in the ledger; what was committed stays and is gone on from.
    """
    single = request.of_some and request.kind in ("webhook", "reconcile")
    # What came inside a parent is as new as that, not as its own read: only a lease keeps its burial true.
    beside = single and not any(isinstance(read, Inside) for read in entity.reads)
    ledger = (Unleased if beside else Ledger)(
        connection.database,
        connection.account,
        entity,
        kind=request.kind,
        run_id=request.run_id,
        lease_seconds=connection.settings.sync_lease_seconds,
    )
    where = {"account": connection.account.name, "entity": entity.name}
    connection.ahead.no_more(entity.name)
    try:
        connection.preflight()
        ledger.open()
    except SyncError as e:
        connection.ahead.forget(entity.name)
        raise e.at(**where) from None
    sync = EntitySync(connection, entity, request, ledger, progress, following)
    try:
        with beating(partial(ledger.renew, connection.meter), connection.settings.sync_lease_seconds, "lease"):
            sync.run()
        outcome = sync.close()
    except SyncError as e:
        sync.fail(e.at(**where))
        raise e from None
    except BaseException as e:
        # Ctrl-C, SIGTERM and bugs alike: the ledger says so, the lease goes, the run ends red.
        sync.fail(
            SyncError(
                f"stopped by {type(e).__name__}",
                next_step="run again: it goes on from the last commit",
                **where,
            )
        )
        raise
    finally:
        connection.ahead.forget(entity.name)
    told_of = (
        request.kind == "incremental" and ledger.state.last_full_at and entity.hints and connection.account.endpoints
    )
    if told_of and outcome.wrote:
        own = connection.target(entity.name)
        connection.database.transaction(partial(note_unheard, target=own, sync_id=outcome.log_id))
    if sync.standing.due:
        requests = parents.HEAL_BESIDE if request.kind == "webhook" else parents.HEAL_AT_ONCE
        outcome.waiting = _heal_parents(connection, entity, request.run_id, requests)
    return outcome


def _heal_parents(connection: Connected, entity: Entity, run_id: str | None, requests: int) -> int:
    """Asks for the parents that `entity`'s rows wait for, by key. Answers how many links still wait.

    What the source denies is recorded as gone, what it does not show as unreachable, each with its evidence.
    """
    account = connection.account
    for name in dict.fromkeys(link.to for link in entity.links):
        parent = account.entity(name)
        if parent.one is None:
            continue
        goal = connection.target(name)
        due = connection.database.transaction(partial(parents.due, parent=goal, requests=requests))
        if not due:
            continue
        outcomes: dict[str, tuple[str, str]] = {}
        try:
            found = sync_entity(connection, parent, Request("reconcile", ids=tuple(due), run_id=run_id))
            outcomes = {k: ("gone", v) for k, v in found.gone.items()}
            outcomes |= {k: ("unreachable", v) for k, v in found.unreachable.items()}
        except (RetryLater, CallVendor, FixConfig) as e:
            outcomes = dict.fromkeys(due, ("waiting", e.what))
        connection.database.transaction(partial(parents.tried, parent=goal, outcomes=outcomes))
    own = connection.target(entity.name)
    return connection.database.look(partial(standing, target=own, counted=False)).waiting
