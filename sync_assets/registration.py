"""Our address at each vendor: what to set, what became of it, and setting it where an API can.

A vendor switches off what failed too often and tells nobody. So it is asked: by a person with `sync-assets webhooks`,
and by a check of every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from sync_assets.account import Account
from sync_assets.errors import SyncError, WrongShape
from sync_assets.extract.http import Door
from sync_assets.webhook import Endpoint, Registration, Subscription

State = Literal["on", "off", "missing", "foreign", "no secret", "unknown"]
AMISS = ("off", "missing", "foreign")
"""States that a person must mend before anything comes."""


@dataclass(frozen=True)
class Standing:
    """One address at one place of a vendor. `says` what a state does not say by itself; it holds no secret."""

    account: str
    state: State
    masked: str = ""
    url: str = field(default="", repr=False)
    place: str = ""
    events: tuple[str, ...] = ()
    where: str = ""
    says: str = ""


def standings(account: Account, public_url: str, door: Door | None) -> Iterator[Standing]:
    """Asks the vendor where it can be asked; a refusal to tell is a state too. No `door`, no question."""
    registration = account.system.registration
    if registration is not None and not any(not endpoint.name for endpoint in account.endpoints):
        needed = " and ".join(f"{account.name}_{name}".upper() for name in registration.needs)
        yield Standing(
            account.name, "no secret", events=registration.events, where=registration.where, says=f"set {needed}"
        )
    for endpoint in account.endpoints:
        if endpoint.name or registration is None:
            yield _standing(account, endpoint, public_url, None, "unknown")
            continue
        yield from _asked(account, endpoint, registration, public_url, door)


def watched(account: Account) -> bool:
    """Whether there is an address whose vendor can be asked about it."""
    registration = account.system.registration
    return bool(registration and registration.listed and any(not endpoint.name for endpoint in account.endpoints))


def create(account: Account, public_url: str, door: Door) -> None:
    """Switches on what is off or missing. Raises the errors of `Door.ask`, WrongShape for an answer of another form."""
    registration = account.system.registration
    if registration is None or registration.listed is None or registration.create is None:
        return
    for endpoint in account.endpoints:
        if not endpoint.name:
            url = public_url + endpoint.path(account.name)
            for there in _listed(registration, door, url):
                if there.state in ("off", "missing"):
                    registration.create(door, account.settings, url, there)


def _asked(
    account: Account, endpoint: Endpoint, registration: Registration, public_url: str, door: Door | None
) -> Iterator[Standing]:
    says = ""
    if not public_url:
        says = "set SYNC_PUBLIC_URL"
    elif registration.listed is None:
        says = "no API tells"
    elif door is None:
        says = "not asked: DATABASE_URL is not set"
    else:
        try:
            for found in _listed(registration, door, public_url + endpoint.path(account.name)):
                yield _standing(
                    account, endpoint, public_url, registration, found.state, place=found.place, says=found.says
                )
        except SyncError as e:
            says = f"it cannot be asked: {e.what}"
    if says:
        yield _standing(account, endpoint, public_url, registration, "unknown", says=says)


def _listed(registration: Registration, door: Door, url: str) -> list[Subscription]:
    assert registration.listed is not None  # noqa: S101  the callers looked
    try:
        return list(registration.listed(door, url))
    except (msgspec.DecodeError, RecursionError):
        raise WrongShape("the list of webhooks has another form than the API's") from None


def _standing(
    account: Account,
    endpoint: Endpoint,
    public_url: str,
    registration: Registration | None,
    state: State,
    *,
    place: str = "",
    says: str = "",
) -> Standing:
    url = (public_url or "SYNC_PUBLIC_URL") + endpoint.path(account.name)
    masked = f"{url.removesuffix(endpoint.secret)}***" if endpoint.secret else url
    events, where = (registration.events, registration.where) if registration else ((), "")
    return Standing(account.name, state, masked, url, place, events, where, says)
