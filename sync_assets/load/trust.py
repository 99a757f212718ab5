"""A secret belongs to the host that it was first sent to: met again with another one, it goes nowhere.

So a slip in the settings, or somebody who can change an address but does not know the secret, cannot have it sent to
them. What is stored is no secret: scrypt of it under one salt per database, which also finds it under another account.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from functools import lru_cache, partial

from sync_assets.errors import FixConfig, UnsafeSetting
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

COST = 2**12
"""scrypt's n: 4 MB and about 10 ms for each guess at secrets that vendors make at random."""

Sent = Mapping[str, tuple[str, str]]
"""By setting: the host that it is sent to, and the secret."""

KNOWN = "select account, setting, host, salt, seal from sync.trusted_hosts"
KEEP = """
insert into sync.trusted_hosts (account, setting, host, salt, seal, trusted_by)
values (%(account)s, %(setting)s, %(host)s, %(salt)s, %(seal)s, %(by)s)
on conflict (account, setting) do update
   set host = excluded.host, salt = excluded.salt, seal = excluded.seal, trusted_by = excluded.trusted_by,
       since = clock_timestamp()
"""


def require_trust(database: Database, account: str, sent: Sent) -> None:
    """Raises UnsafeSetting where a secret was sent to another host before; remembers what is new."""
    given = {setting: pair for setting, pair in sent.items() if pair[1]}
    if given:
        database.transaction(partial(_require, account=account, sent=given))


def trust(database: Database, account: str, sent: Sent, *, by: str) -> None:
    """From now on these hosts are right for these secrets, on the word of `by`; elsewhere they are forgotten."""

    def work(cursor: Cursor) -> None:
        cursor.execute(KNOWN)
        known = cursor.fetchall()
        salt = bytes(known[0][3]) if known else secrets.token_bytes(16)
        for setting, (host, secret) in sent.items():
            if secret:
                seal = _seal(secret, salt, COST)
                cursor.execute("delete from sync.trusted_hosts where seal = %s and host <> %s", (seal, host))
                _keep(cursor, account, setting, host, salt, seal, by)

    database.transaction(work)


def hosts(database: Database, account: str) -> dict[str, tuple[str, str | None]]:
    """By setting: the host that its secret belongs to, and who said so where it was not simply the first."""
    rows = database.rows(
        "select setting, host, trusted_by from sync.trusted_hosts where account = %s order by setting", (account,)
    )
    return {setting: (host, by) for setting, host, by in rows}


def _require(cursor: Cursor, *, account: str, sent: Sent) -> None:
    cursor.execute(KNOWN)
    known = cursor.fetchall()
    salt = bytes(known[0][3]) if known else secrets.token_bytes(16)
    for setting, (host, secret) in sent.items():
        seal = _seal(secret, salt, COST)
        for _, _, other, _, sealed in known:
            if bytes(sealed) == seal and other != host:
                raise UnsafeSetting(
                    f"{account.upper()}_{setting.upper()} belongs to {other} and would now be sent to {host}",
                    account=account,
                    next_step=f"put the address back; where the move is meant: sync-assets accounts trust {account}"
                    " --by NAME, or a new secret for the new address",
                )
        if (account, setting, host, seal) not in {(a, s, h, bytes(sealed)) for a, s, h, _, sealed in known}:
            _keep(cursor, account, setting, host, salt, seal, None)


def _keep(cursor: Cursor, account: str, setting: str, host: str, salt: bytes, seal: bytes, by: str | None) -> None:
    given = {"account": account, "setting": setting, "host": host, "salt": salt, "seal": seal, "by": by}
    cursor.execute(KEEP, given)


@lru_cache(maxsize=256)
def _seal(secret: str, salt: bytes, cost: int) -> bytes:
    try:
        return hashlib.scrypt(secret.encode(), salt=salt, n=cost, r=8, p=1, dklen=32)
    except (AttributeError, ValueError):
        raise FixConfig("this Python cannot compute scrypt", next_step="use a Python built with OpenSSL") from None
