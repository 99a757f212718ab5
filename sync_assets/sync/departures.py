"""Records that are not seen any more: merged into others, in the source's bin, erased for good or just gone.

Each leaves its table with proof. A complete sweep says who is unseen and a bin who was deleted; neither is believed
before the record itself was asked for, where the API has such a read, and never under other rights than last time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from psycopg2 import sql

from sync_assets.entity import Inside
from sync_assets.errors import FixConfig, Forbidden, RecordGone
from sync_assets.extract.pages import Page
from sync_assets.load import aliases, deletions
from sync_assets.load.cursor import Cursor
from sync_assets.load.deletions import Departed, Left
from sync_assets.load.upsert import Counts
from sync_assets.sync import pushed

if TYPE_CHECKING:
    from sync_assets.sync.entity_sync import EntitySync


class Departures:
    """The departures of one sync; `load` commits pages that turned up while looking."""

    def __init__(self, sync: EntitySync, load: Callable[[list[Page]], None]) -> None:
        self._sync = sync
        self._load = load
        self._entity = sync.entity
        self._target = sync.target
        self._database = sync.connection.database
        links = sync.entity.links
        part_of = next((k for k in links if not k.on and {*k.names} < {*sync.entity.keys}), None)
        self._whole = (part_of, sync.connection.target(part_of.to)) if part_of else None

    def find(self, *, complete: bool) -> None:
        """Buries what left the source. Raises FuseBlown where that would be implausibly much."""
        self._bury(self._superseded())
        told = self._told()
        if complete and self._same_rights():
            self._unseen()
        if self._entity.bin:
            self._binned(told)
        if told:
            self._check_fuse(len(told))
            looked = self._look(list(told))
            self._bury({key: replace(d, at=told[key]) for key, d in looked.items()})

    def by_key(self, keys: Sequence[str]) -> None:
        """Asks for records by key: loads those that are there, buries those that are not."""
        spelled = {key: self._target.canonical(key) for key in keys}
        strange = (key for key, spelling in spelled.items() if spelling is None)
        outcome = self._sync.outcome
        outcome.unreachable = dict.fromkeys(strange, f"it cannot be a key of {self._entity.name}")
        keys = [spelling for spelling in spelled.values() if spelling is not None]
        departed = self._look(keys)
        if departed and not self._same_rights():
            outcome.unreachable |= {k: f"{d.evidence}, under other rights than before" for k, d in departed.items()}
            departed = {}
        self._check_hour(departed)
        buried = self._bury(departed | self._superseded(None if self._sync.ledger.leased else keys))
        if departed and self._sync.beside_another():
            # What the other one has read before must not bring them in, nor was it wrong to leave one alone that it
            # met again, and unchanged, after it had come back.
            if buried:
                departed = self._look(list(departed))
                self._bury(departed)
            self._database.transaction(partial(self._ban, departed))
        outcome.gone = {key: d.evidence for key, d in departed.items()}

    def take_pushed(self) -> None:
        """Of the records that came with the request, those that the source has just denied or does not show.

        Raises FixConfig for an entity that takes no records.
        """
        sync = self._sync
        page, deleted = pushed.hidden(sync.request.pushed, sync.outcome, sync.connection, self._target)
        if page:
            self._load([page])
        self._bury(deleted, by_sender=True)

    def from_sets(self, cursor: Cursor, pages: Sequence[Page], created: int) -> int:
        """Buries what is missing from sets that these pages show whole. Raises FuseBlown where that is too much.

        `created` of their records are new: what only came back under another key makes no set smaller.
        """
        departed: dict[str, Departed] = {}
        shown = 0
        for page in pages:
            if not page.sets:
                continue
            column, values = page.sets
            keys = [key for key in page.keys if key is not None]
            shown += len(keys)
            if len(keys) < len(page.keys):
                self._sync.outcome.remark(f"{len(page.keys) - len(keys)} records came without a key: none left its set")
            elif self._same_rights():
                left = deletions.left_its_set(cursor, self._target, column, values, shown=keys, seen=page.seen)
                how = f"everything of its {column} was read, without it"
                departed |= dict.fromkeys(left, Departed(how, seen=page.seen))
        if not departed:
            return 0
        cursor.execute("select deleted from sync.logs where id = %s", (self._sync.state.log_id,))
        (before,) = cursor.fetchone() or (0,)
        if before + len(departed) > deletions.FUSE_FLOOR:
            left_alone = len(departed) - self._bereft(cursor, list(departed))
            fuse, fewer = self._fuse(), left_alone - created
            if fewer > deletions.FUSE_FLOOR:
                fuse.check(missing=fewer, rows=fewer + shown, seen=shown)
            cursor.execute(sql.SQL("select count(*) from {}").format(self._target.table))
            (rows,) = cursor.fetchone() or (0,)
            fuse.check(missing=before + left_alone, rows=before + rows, seen=rows)
        return deletions.bury(cursor, self._target, departed, self._sync.state.log_id)[0]

    def _superseded(self, keys: Sequence[str] | None = None) -> dict[str, Departed]:
        """Of all records, or of those with these keys alone."""

        def work(cursor: Cursor) -> dict[str, str]:
            asked = self._sync.written.keys if keys is None else keys
            aliases.learn(cursor, self._target, self._sync.state.log_id, asked, alone=keys is not None)
            return aliases.superseded(cursor, self._target, keys)

        merged = self._database.transaction(work) if self._entity.merged else {}
        return {key: _merged(into, "the surviving record says so") for key, into in merged.items()}

    def _told(self) -> dict[str, datetime]:
        if not self._entity.deletions:
            return {}
        return self._database.look(partial(deletions.told, target=self._target))

    def _check_fuse(self, missing: int) -> None:
        rows = self._sync.rows()
        self._fuse().check(missing=missing, rows=rows, seen=rows)

    def _check_hour(self, departed: Mapping[str, Departed]) -> None:
        """Looks at single records bury few at a time: what they bury in an hour must be plausible together."""
        gone = [key for key, d in departed.items() if d.state != "merged"]
        if gone and not self._sync.ledger.leased:
            count = self._database.look(partial(deletions.buried_by_looks, target=self._target, keys=gone))
            if count > deletions.FUSE_FLOOR:
                self._check_fuse(count)

    def _fuse(self) -> deletions.Fuse:
        return deletions.Fuse(self._sync.connection.settings.sync_fuse_percent, self._sync.request.allow_deletions)

    def _same_rights(self) -> bool:
        before, now = self._sync.state.rights, self._sync.connection.rights
        if before is None or now is None or before == now:
            return True
        self._sync.outcome.remark("the token's rights are not those of the last full sync: nobody unseen was deleted")
        return False

    def _unseen(self) -> None:
        sync, state = self._sync, self._sync.state
        unseen = self._database.look(
            partial(deletions.missing, target=self._target, sweep=state.sweep, seen=state.sweep_seen)
        )
        known = self._database.look(partial(aliases.known, target=self._target, keys=unseen.keys))
        self._bury({key: _merged(into, "known to be merged") for key, into in known.items()})
        keys = [key for key in unseen.keys if key not in known]
        bereft = self._database.look(partial(self._bereft, keys=keys))
        self._fuse().check(missing=len(keys) - bereft, rows=unseen.living, seen=unseen.seen)
        if sync.request.allow_deletions is not None:
            sync.outcome.remark(
                f"up to {sync.request.allow_deletions} deletions were allowed, {len(keys)} records are missing"
            )
        if not keys:
            return
        if self._entity.one:
            self._bury(self._look(keys))
        elif unseen.keyless:
            sync.outcome.remark(f"{unseen.keyless} records came without a key: nothing was deleted")
        else:
            inside = [r.parent for r in self._entity.reads if isinstance(r, Inside)]
            how = f"no longer in the stored {inside[0]}" if inside else "absent from a complete listing"
            self._bury(dict.fromkeys(keys, Departed(how)))

    def _bereft(self, cursor: Cursor, keys: Sequence[str]) -> int:
        """Rows that are parts of a record which has left: no wonder that nobody sees them any more."""
        if self._whole is None or not keys:
            return 0
        link, parent = self._whole
        return deletions.bereft(cursor, self._target, parent, link, keys)

    def _ban(self, departed: Mapping[str, Departed], cursor: Cursor) -> None:
        deletions.ban(cursor, self._target, departed, self._sync.state.log_id)

    def _binned(self, told: dict[str, datetime]) -> None:
        assert self._entity.bin is not None  # noqa: S101  asked by the caller
        listed: list[str] = []
        living: list[str] = []
        for page in self._sync.fetch().pages([self._entity.bin]):
            keys = [key for key in page.keys if key is not None]
            listed += keys
            living += self._database.look(
                partial(deletions.still_living, target=self._target, keys=keys, seen=page.seen)
            )
        self._check_fuse(len(living))
        left = self._database.look(partial(deletions.out_of_the_bin, target=self._target, binned=listed))
        found = {key: replace(d, at=told.pop(key, None)) for key, d in self._look([*living, *left]).items()}
        in_bin = {key for key in living if key in found and found[key].state != "merged"}
        self._bury(found | {key: replace(found[key], state="binned") for key in in_bin})

    def _look(self, keys: Sequence[str]) -> dict[str, Departed]:
        """Asks for records by key and loads those that answer. Answers how the others left."""
        if not keys:
            return {}
        sync, entity = self._sync, self._entity
        if (one := entity.one) is None:
            raise FixConfig(
                f"{entity.name} cannot be read by id; the API has no such read",
                next_step="sync the whole entity instead",
            )
        looked = int(self._database.query("select nextval('sync.seen')")[0])
        departed: dict[str, Departed] = {}
        held: dict[int, Page] = {}
        for key, found in sync.fetch(by_key=True).by_id(one, keys):
            if isinstance(found, Page):
                held[id(found)] = found
                if key not in found.keys and len(found.keys) == 1 and found.keys[0] is not None:
                    departed[key] = replace(_merged(found.keys[0], "asked for by id"), seen=found.seen)
                if sum(len(page.records) for page in held.values()) >= sync.connection.settings.sync_batch_size:
                    self._load(list(held.values()))
                    held = {}
            elif isinstance(found, RecordGone):
                gone: Left = "erased" if entity.erasable else "gone"
                left: Left = "binned" if found.binned else gone
                departed[key] = Departed(found.what, left, seen=looked if found.seen is None else found.seen)
            elif isinstance(found, Forbidden):
                sync.outcome.unreachable[key] = found.what
            else:
                raise found
        if held:
            self._load(list(held.values()))
        return departed

    def _bury(self, departed: dict[str, Departed], *, by_sender: bool = False) -> int:
        """Answers how many left their table. `by_sender`: on the word of whoever pushed these records to us."""
        ledger = self._sync.ledger

        def work(cursor: Cursor) -> int:
            if not ledger.begin_commit(cursor):
                return len(departed)
            if into := {key: d.into for key, d in departed.items() if d.into}:
                aliases.note(cursor, self._target, into)
            log_id = self._sync.state.log_id
            deleted, merged = deletions.bury(cursor, self._target, departed, log_id, by_sender=by_sender)
            ledger.end_commit(cursor, Counts(), deleted=deleted, merged=merged)
            return deleted + merged

        if not departed:
            return 0
        buried = self._database.transaction(work)
        ledger.committed()
        return buried


def _merged(into: str, how: str) -> Departed:
    return Departed(f"merged into {into}: {how}", "merged", into)
