"""Records by their ids, fifty in a request: as the list shows them, and what no list shows is asked for by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sync_assets.entity import OwnById, Whole
from sync_assets.errors import Forbidden, RecordGone, SyncError
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.bitrix.api import is_gone
from sync_assets.systems.bitrix.commands import COMMANDS, Command, Refused, query, what_each_gave
from sync_assets.systems.bitrix.numbered import allowed
from sync_assets.systems.bitrix.sets import OfChangedOrders


@dataclass(frozen=True)
class Lookup(OwnById):
    """`path` is the list's method, `rows` where its rows are; `get` is that of one record, which is in `at`."""

    get: str = ""
    rows: str = ""
    per: str = ""  # the filter without which the list refuses; the record itself tells it
    select: tuple[str, ...] = ()
    at_once: int = COMMANDS

    def look(self, fetch: Fetch, keys: Sequence[str]) -> Iterator[tuple[str, Page | SyncError]]:
        """A RecordGone says the vendor's own error for a record that does not exist.

        What belongs to the records is asked for along with them where it is wanted next.
        """
        sets = [read for read in fetch.along.reads if isinstance(read, OfChangedOrders)]
        step = COMMANDS // ((2 if self.per else 1) + len(sets))
        for i in range(0, len(keys), step):
            some = keys[i : i + step]
            listed = dict(self._listed(fetch, some, [read.command(int(key)) for read in sets for key in some]))
            yield from listed.items()
            if hidden := [key for key in some if key not in listed]:
                yield from self._by_themselves(fetch, hidden)

    def _listed(self, fetch: Fetch, keys: Sequence[str], along: Sequence[Command]) -> Iterator[tuple[str, Page]]:
        commands = [command for n, key in enumerate(keys) for command in self._commands(n, key)]
        each = len(commands) // len(keys)
        as_listed = Whole(self.path, at=self.rows)
        for key, found in zip(keys, what_each_gave(fetch, commands, along)[each - 1 :: each], strict=True):
            if isinstance(found, Answer):
                page = fetch.splitter.page(f"{self.path}, id {key}", as_listed, found)
                if page.keys == [key]:
                    yield key, page

    def _commands(self, n: int, key: str) -> Iterator[Command]:
        wanted: dict[str, object] = {"id": key}
        if self.per:
            yield Command(self.get, {"id": key})
            wanted[self.per] = f"$result[c{2 * n}][{self.at}][{self.per}]"
        yield Command(self.path, query(wanted, select=self.select, start=-1))

    def _by_themselves(self, fetch: Fetch, keys: Sequence[str]) -> Iterator[tuple[str, Page | SyncError]]:
        outcomes = what_each_gave(fetch, [Command(self.get, {"id": key}) for key in keys])
        for key, found in zip(keys, outcomes, strict=True):
            if isinstance(found, Answer):
                yield key, fetch.splitter.page(f"{self.get}, id {key}", self, found)
            elif is_gone(found.refusal):
                gone = f"asked for by id: error {found.refusal.code[:20]}, it does not exist"
                yield key, RecordGone(gone, seen=found.seen)
            else:
                yield key, found.error


@dataclass(frozen=True)
class PeopleLookup(OwnById):
    """Users by their ids."""

    at_once: int = COMMANDS

    def look(self, fetch: Fetch, keys: Sequence[str]) -> Iterator[tuple[str, Page | SyncError]]:
        """Whom user.get does not show is Forbidden: it never shows a shop's buyers, so nobody is known to be gone."""
        for i in range(0, len(keys), COMMANDS):
            some = keys[i : i + COMMANDS]
            outcomes = what_each_gave(fetch, [Command(self.path, {"ID": key}) for key in some])
            for key, found in zip(some, outcomes, strict=True):
                if isinstance(found, Refused):
                    yield key, found.error
                    continue
                person = replace(found, body=allowed(b'{"result":' + found.body + b"}"))
                page = fetch.splitter.page(f"{self.path}, id {key}", Whole(self.path, at="result"), person)
                if page.keys == [key]:
                    yield key, page
                else:
                    yield key, Forbidden("user.get does not show it; it never shows buyers, bots and e-mail users")
