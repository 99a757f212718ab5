"""How tests come in to the sandbox's Kommo: by the long-lived token of `environment`, or by OAuth as told here."""

import traceback

from sync_assets.errors import SyncError
from sync_assets.sandbox.kommo.api import Kommo
from sync_assets.sandbox.kommo.auth import Auth
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company

TOKENS = "/oauth2/access_token"
AN_HOUR_OLD = "update sync.tokens set renewed_at = now() - interval '1 hour', access_ends_at = now() + %s::interval"


def auth(sandbox: Sandbox) -> Auth:
    system = sandbox.world.systems["kommo"]
    assert isinstance(system, Kommo)
    return system.auth


def oauth_of(sandbox: Sandbox) -> dict[str, str | None]:
    """The variables that replace those of the long-lived token."""
    own = auth(sandbox).credentials()
    names = ("client_id", "client_secret", "redirect_uri", "refresh_token")
    return {"KOMMO_ACCESS_TOKEN": None, **{f"KOMMO_{name}".upper(): own[name] for name in names}}


def renewals(company: Company) -> list[int]:
    """The statuses of the requests for new tokens."""
    return [r.status for r in company.sandbox.requests if r.path == TOKENS]


def generation(company: Company) -> int:
    ((found,),) = company.query("select generation from sync.tokens where account = 'kommo'")
    return int(found)


def refused(company: Company, canary: Canary, entity: str = "users") -> SyncError:
    error = company.sync("full", "kommo", entity)[entity]
    assert isinstance(error, SyncError)
    canary.check("the error", "".join(traceback.format_exception(error)) + repr(error) + str(error.where))
    return error
