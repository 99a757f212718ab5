"""Who may come in: a long-lived token, or pairs of an access token for a day and a refresh token for one use.

Promise: at any moment exactly one refresh token of a chain works, and using it kills it before the answer leaves; so
a client that loses the answer has lost the connection, as it would live. The non-obvious decision: tokens are JWTs by
their look only; what counts is whether they were issued here, so one of another account or another kind fails.
"""

import base64
import hashlib
import hmac
import random
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Answer, Record, Request, decode, encode, of_json
from sync_assets.sandbox.kommo import errors
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, DOMAIN, SUBDOMAIN

REDIRECT_URI = "https://sync.example.test/kommo/callback"
CODE_SECONDS, LONG_LIVED_SECONDS, DAY = 20 * 60, 5 * 365 * 86_400, 86_400
ADMIN = 9_300_001
# Where accounts live; any other host is just another way to this one.
VENDORS = (DOMAIN.partition(".")[2], "kommo.com", "amocrm.ru", "amocrm.com")


class Auth:
    def __init__(self, dice: random.Random, clock: Clock, switches: dict[str, str]) -> None:
        self._dice, self._clock, self._switches = dice, clock, switches
        self.client_id, self.client_secret = words.uid(dice), f"{dice.getrandbits(256):064x}"
        # Token -> when it ends.
        self.access: dict[str, float] = {}
        self.refresh: dict[str, float] = {}
        self.codes: dict[str, float] = {}
        self.paid = True
        # How many more requests the access tokens are good for, where A10 says so.
        self.uses: int | None = None
        self.long_lived = self._jwt(LONG_LIVED_SECONDS)
        self.pair = self.issue()

    def credentials(self) -> dict[str, str]:
        given = {name: self.pair[name] for name in ("access_token", "refresh_token")}
        own = {"client_id": self.client_id, "client_secret": self.client_secret, "redirect_uri": REDIRECT_URI}
        return {"token": self.long_lived, "subdomain": SUBDOMAIN, **own, **given}

    # Tokens.

    def issue(self) -> Record:
        lasting = int(self._switches["kommo.access_seconds"])
        if self._switches["kommo.old_access"] == "dies":
            self.access.clear()
        access, refresh = self._jwt(lasting), f"def50200{self._dice.getrandbits(2048):0512x}"
        self.access[access] = self._now() + lasting
        self.refresh[refresh] = self._now() + float(self._switches["kommo.refresh_days"]) * DAY
        self.uses = None
        self.pair = {
            "token_type": "Bearer",
            "expires_in": lasting,
            "server_time": int(self._now()),
            "access_token": access,
            "refresh_token": refresh,
        }
        return self.pair

    def new_code(self) -> str:
        """What the consent page hands to the redirect: good once, for twenty minutes."""
        code = f"def50200{self._dice.getrandbits(1024):0256x}"
        self.codes[code] = self._now() + CODE_SECONDS
        return code

    def expire(self, uses: int = 0) -> None:
        """A10: access tokens end now, or after so many more requests; refresh tokens live on."""
        self.uses = uses

    def uninstall(self) -> None:
        """The account removed the integration: nothing of its OAuth works any more."""
        self.access.clear()
        self.refresh.clear()

    def _jwt(self, lasting: int) -> str:
        now = int(self._now())
        claims = {
            "aud": self.client_id, "jti": f"{self._dice.getrandbits(256):064x}", "iat": now, "nbf": now,
            "exp": now + lasting, "sub": str(ADMIN), "grant_type": "", "account_id": ACCOUNT_ID,
            "base_domain": DOMAIN.partition(".")[2], "version": 2, "scopes": ["crm", "notifications"],
        }  # fmt: skip
        text = b".".join(_base64(encode(part)) for part in ({"typ": "JWT", "alg": "RS256"}, claims))
        return b".".join((text, _base64(hmac.digest(self.client_secret.encode(), text, hashlib.sha256)))).decode()

    def _now(self) -> float:
        return self._clock.peek().timestamp()

    # At the door.

    def refuse(self, request: Request) -> Answer | None:
        account, _, vendor = request.headers.get("host", "").partition(":")[0].partition(".")
        if vendor in VENDORS and account not in (SUBDOMAIN, "www"):
            if self._switches["kommo.wrong_domain"] == "404":
                return errors.page(404)
            return errors.ApiError(401, "Account not found").answer()
        if request.path.startswith("/oauth"):
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self._known(token):
            return errors.ApiError(401, "Unauthorized").answer()
        return None if self.paid else errors.ApiError(402, "Payment required").answer()

    def _known(self, token: str) -> bool:
        if token == self.long_lived:
            return True
        if self.uses is not None and token in self.access:
            self.uses -= 1
            return self.uses >= 0
        return self.access.get(token, 0.0) > self._now()

    def exchange(self, request: Request) -> Answer:
        """POST /oauth2/access_token. A refresh token is dead before the new pair exists."""
        given = _given(request)
        if given.get("client_id") != self.client_id or given.get("client_secret") != self.client_secret:
            return errors.oauth(401, "Client authentication failed")
        if given.get("redirect_uri") != REDIRECT_URI:
            return errors.oauth(400, "Invalid redirect URI")
        match given.get("grant_type"):
            case "refresh_token":
                table, token, hint = self.refresh, given.get("refresh_token"), "Token has been revoked"
            case "authorization_code":
                table, token, hint = self.codes, given.get("code"), "Authorization code has been revoked"
            case _:
                return errors.oauth(400, "Check that all required parameters have been provided")
        if not isinstance(token, str):
            return errors.oauth(400, "Check the `token` parameter")
        if (ends := table.pop(token, None)) is None:
            return errors.oauth(401, hint)
        if ends <= self._now():
            return errors.oauth(401, hint.replace("been revoked", "expired"))
        return of_json(self.issue())

    def consent(self, request: Request) -> Answer:
        """The page where a person says yes; here everybody does, at once."""
        if request.query.get("client_id") != self.client_id:
            return errors.page(404)
        back: Record = {"code": self.new_code(), "state": request.query.get("state", ""), "referer": DOMAIN}
        target = f"{REDIRECT_URI}?{urlencode(back | {'client_id': self.client_id})}"
        return Answer(302, b"", headers={"location": target})

    def subdomain(self, request: Request) -> Answer:
        """Which host this token's account lives on."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if request.headers.get("x-refresh-token") not in self.refresh and not (
            scheme == "Bearer" and self._known(token)
        ):
            return errors.ApiError(401, "Invalid or expired token").answer()
        own = {"id": ACCOUNT_ID, "subdomain": SUBDOMAIN, "domain": DOMAIN}
        return of_json(own | {"top_level_domain": DOMAIN.rpartition(".")[2]})


def _base64(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _given(request: Request) -> dict[str, Any]:
    """JSON as documented, or a form, which OAuth libraries send unless they are told otherwise."""
    if "json" in request.headers.get("content-type", ""):
        body = decode(request.body) if request.body else {}
        return body if isinstance(body, dict) else {}
    return dict(parse_qsl(request.body.decode("utf-8", "replace")))
