"""What must hold after every fault: the next sync makes world and Postgres equal, and the ledger adds up."""

from typing import Any, TypeVar

from sync_assets.errors import SyncError
from sync_assets.sync import Outcome
from sync_assets_tests.company import Company

E = TypeVar("E", bound=SyncError)


def failed(done: dict[str, Outcome | SyncError], name: str, kind: type[E]) -> E:
    """The error of an entity, which must be of `kind`; it must say where, and what comes next."""
    error = done[name]
    assert isinstance(error, kind), f"{name}: {error!r}"
    assert error.where["entity"] == name
    assert "Next: " in str(error)
    return error


def assert_recovered(company: Company, account: str = "kaiten", **request: Any) -> dict[str, Outcome]:
    company.sandbox.faults.clear()
    done = company.synced("full", account, **request)
    company.assert_world_equals_postgres(account)
    company.assert_ledger_adds_up()
    return done
