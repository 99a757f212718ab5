"""Pairs of tokens in Postgres: renewed by one process at a time, committed before use, and never there in clear.

A token that a person gave takes over once. It is remembered by its hash, so an environment that still names an old one,
as it will from the first renewal on, changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync_assets import crash
from sync_assets.errors import AuthorisationLost, SyncError
from sync_assets.extract.oauth import OAuth, Pair, Renew
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

# Five minutes ahead, so that no request fails for the age of its token; less where tokens live for minutes only.
GOOD_FOR = """
extract(epoch from access_ends_at - least(interval '5 minutes', (access_ends_at - renewed_at) / 4)
                   - clock_timestamp())::float8
"""

# Two processes that begin at once: the row of the first, uncommitted, holds back the second.
BEGIN = "insert into sync.tokens (account) values (%s) on conflict do nothing"

LOCK = f"select sealed, seeds, generation, {GOOD_FOR} from sync.tokens where account = %s for update"  # noqa: S608  ours

# `now()` is when the transaction began, before the source was asked: tokens end later than this says, never earlier.
KEEP = f"""
update sync.tokens
   set sealed = %(sealed)s, seeds = case when %(seed)s = any(seeds) then seeds else seeds || %(seed)s end,
       generation = generation + 1, renewed_at = now(),
       access_ends_at = now() + make_interval(secs => %(lasts)s),
       refresh_ends_at = now() + make_interval(secs => %(refresh_lasts)s)
 where account = %(account)s returning {GOOD_FOR}
"""  # noqa: S608  ours

STATE = "select generation, access_ends_at, refresh_ends_at from sync.tokens where account = %s"


class _Sealed(msgspec.Struct):
    access: str
    refresh: str


@dataclass(frozen=True)
class _Held:
    access: str = field(repr=False)
    until: float  # of the monotonic clock


@dataclass(frozen=True)
class TokenState:
    generation: int
    access_ends_at: datetime
    refresh_ends_at: datetime | None


class StoredTokens:
    """The pair of one account. Safe to use from several threads; `database` is locked while a renewal is under way."""

    def __init__(self, database: Database, account: str, oauth: OAuth) -> None:
        self.oauth = oauth
        self._database = database
        self._account = account
        self._fernet = _fernet(account, oauth)
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._uncommitted: tuple[str, Pair] | None = None

    def access(self, renew: Renew, *, refused: str | None = None) -> str:
        """See `TokenStore`. Raises the errors of `Database.transaction` too."""
        if found := self._good(refused):
            return found
        with self._lock:
            if found := self._good(refused):
                return found
            self._held = self._database.transaction(partial(self._settled, renew, refused))
            self._uncommitted = None
            return self._held.access

    def state(self) -> TokenState | None:
        """None where nothing was renewed yet."""
        row = self._database.query(STATE, (self._account,))
        return TokenState(*row) if row else None

    def _good(self, refused: str | None) -> str | None:
        held = self._held
        return held.access if held and held.access != refused and time.monotonic() < held.until else None

    def _settled(self, renew: Renew, refused: str | None, cursor: Cursor) -> _Held:
        cursor.execute(BEGIN, (self._account,))
        cursor.execute(LOCK, (self._account,))
        sealed, seeds, generation, good_for = cursor.fetchone() or (None, [], 0, None)
        seed = hashlib.sha256(self.oauth.seed.encode()).digest()
        if seed not in map(bytes, seeds):
            token, which = self.oauth.seed, "given in the environment"
        else:
            stored = self._opened(sealed)
            if stored.access != refused and good_for > 0:
                return _Held(stored.access, time.monotonic() + good_for)
            token, which = stored.refresh, f"stored, of generation {generation}"
        pair = self._renewed(renew, token, which)
        crash.point("in renewal")
        cursor.execute(
            KEEP,
            {
                "account": self._account,
                "sealed": self._fernet.encrypt(msgspec.json.encode(_Sealed(pair.access, pair.refresh))).decode(),
                "seed": seed,
                "lasts": pair.lasts,
                "refresh_lasts": pair.refresh_lasts,
            },
        )
        (good_for,) = cursor.fetchone() or (0.0,)
        return _Held(pair.access, time.monotonic() + good_for)

    def _renewed(self, renew: Renew, token: str, which: str) -> Pair:
        """Where the commit failed after an answer, that answer is the only one there will ever be: it is kept."""
        if self._uncommitted is None or self._uncommitted[0] != token:
            try:
                self._uncommitted = token, renew(token)
            except SyncError as e:
                raise e.at(refresh_token=which) from None
        return self._uncommitted[1]

    def _opened(self, sealed: str) -> _Sealed:
        try:
            return msgspec.json.decode(self._fernet.decrypt(sealed), type=_Sealed)
        except InvalidToken:
            raise AuthorisationLost(
                "the stored tokens were sealed for another client secret, client id or address of the account",
                next_step=f"set those back, or {self.oauth.authorise}",
            ) from None


def _fernet(account: str, oauth: OAuth) -> Fernet:
    """Keys differ by account and audience: a row that was moved, or a changed host, opens nothing."""
    info = f"sync.tokens\n{account}\n{oauth.audience}".encode()
    key = HKDF(SHA256(), length=32, salt=None, info=info).derive(oauth.secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
