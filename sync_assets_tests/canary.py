"""The canary: every secret of a test is looked for in all that the test left behind, in every form it could leak in.

Promise: a secret is found raw, percent-encoded, base64-encoded at any of its three alignments, and as hexadecimal,
which is how bytea prints.
"""

import base64
import io
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg2 import sql

from sync_assets_tests.asking import asking
from sync_assets_tests.databases import filled

ROWS = sql.SQL("select {}, t::text from {} t where xmin::text::bigint >= {}")


def forms(secret: str) -> set[str]:
    raw = secret.encode()
    # What is left of an encoded secret when its neighbours' bits are cut off at both ends.
    aligned = {
        base64.b64encode(b"\0" * lead + raw).decode()[(0, 2, 3)[lead] : (len(raw) + lead) // 3 * 4] for lead in range(3)
    }
    return {secret, quote(secret, safe=""), raw.hex(), *(a for a in aligned if len(a) >= 8)}


class Canary:
    def __init__(self) -> None:
        self._forms: set[bytes] = set()

    def watch(self, *secrets: str) -> None:
        for secret in secrets:
            assert not {'"', "\\"} & set(secret), "a row's text spells it otherwise"
            self._forms |= {form.encode() for form in forms(secret)}

    def sings(self, text: str | bytes) -> list[str]:
        """The forms of secrets that are in `text`; shortened, so that the alarm is no leak itself."""
        # A wide character anywhere would make every search in a str several times as slow.
        told = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        found = sorted(form for form in self._forms if form in told)
        return [f"{form[:4].decode('utf-8', 'replace')}... ({len(form)} bytes)" for form in found]

    def check(self, where: str, text: str | bytes) -> None:
        found = self.sings(text)
        assert not found, f"a secret is in {where}: {', '.join(found)}"

    def check_database(self, url: str, since: int = 0) -> None:
        """Every table, whatever it is for; `since`: what was written from that transaction on."""
        if not self._forms:
            return
        with asking(url) as cursor:
            for table, rows in _told(cursor, since):
                self.check(f"the table {table}", rows)

    def check_folder(self, folder: Path) -> None:
        if self._forms:
            for path in folder.rglob("*"):
                if path.is_file():
                    self.check(f"the file {path.name}", path.read_bytes())


def _told(cursor: Any, since: int) -> Iterator[tuple[str, bytes]]:
    """Each table's name and what it says."""
    tables = filled(cursor)
    if not since:
        for name in tables:
            yield ".".join(name), _copied(cursor, sql.Identifier(*name))
        return
    # Of a hundred tables few were written: to ask each of them would take longer than to read what they say.
    each = (ROWS.format(sql.Literal(n), sql.Identifier(*name), sql.Literal(since)) for n, name in enumerate(tables))
    rows = _copied(cursor, sql.SQL("({})").format(sql.SQL(" union all ").join(each))).splitlines()
    for n, of_table in groupby(rows, key=lambda row: int(row.partition(b"\t")[0])):
        yield ".".join(tables[n]), b"\n".join(of_table)


def _copied(cursor: Any, what: sql.Composable) -> bytes:
    rows = io.BytesIO()
    cursor.copy_expert(sql.SQL("copy {} to stdout").format(what), rows)
    return rows.getvalue()
