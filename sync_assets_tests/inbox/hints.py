"""Events in the inbox without a receiver, and a worker that works them off: what tests of the worker's side share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sync_assets.sync.look import Work
from sync_assets.sync.worker import Worker
from sync_assets_tests.company import Company

EVENT = """
insert into sync.webhook_events (account, system, event, entity, key, identity, is_unique, payload, next_try_at)
select %s, split_part(%s, '_', 1), %s, %s, key, sha256(gen_random_uuid()::text::bytea), true, %s,
       clock_timestamp() + make_interval(secs => %s)
  from unnest(%s::text[]) with ordinality k(key, n) order by n returning id
"""


def hint(
    company: Company,
    account: str,
    entity: str,
    *keys: Any,
    event: str = "test",
    payload: bytes = b"{}",
    after: float = 0.0,
) -> list[int]:
    """Puts an event of each key into the inbox, in this order; answers their ids."""
    given = (account, account, event, entity, payload, after, [str(key) for key in keys])
    return [id for (id,) in company.query(EVENT, given)]


@contextmanager
def worker(company: Company, account: str = "kaiten", **settings: Any) -> Iterator[Worker]:
    found = Worker(company.accounts[account], company.settings.model_copy(update=settings))
    try:
        yield found
    finally:
        found.close()


def worked_off(company: Company, account: str = "kaiten", *, seconds: float = 20.0, **settings: Any) -> Work:
    """What one go of a new worker did."""
    with worker(company, account, **settings) as found:
        work = Work()
        found.work_off(time.monotonic() + seconds, work)
        found.tell(work)
        return work


def states(company: Company, events: Sequence[int] | None = None) -> dict[str, int]:
    query = "select state, count(*) from sync.webhook_events where %s::bigint[] is null or id = any(%s) group by 1"
    return dict(company.query(query, (events and list(events), events and list(events))))


def hurry(company: Company) -> None:
    """What waits for its next attempt waits no longer."""
    company.query("update sync.webhook_events set next_try_at = clock_timestamp() where state = 'waiting'")
