"""Records asked for by their ids, a hundred at a time; and for each that does not come, what became of it.

A batch drops a merged-away id without a word, so whoever is neither found nor in the bin is asked for alone: only there
the record answers under the id that it lives on with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sync_assets.entity import ById, OwnById, Params, Whole
from sync_assets.errors import RecordGone, SyncError
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.hubspot.batch import AT_ONCE, read_batch


@dataclass(frozen=True)
class ObjectsById(OwnById):
    shape: str = "object"
    at_once: int = AT_ONCE

    def look(self, fetch: Fetch, keys: Sequence[str]) -> Iterator[tuple[str, Page | SyncError]]:
        for some in (keys[i : i + AT_ONCE] for i in range(0, len(keys), AT_ONCE)):
            page = self._batch(fetch, some, {})
            living = {key for key in page.keys if key is not None}
            absent = [key for key in some if key not in living]
            yield from ((key, page) for key in some if key in living)
            if not absent:
                continue
            binned = self._batch(fetch, absent, {"archived": "true"})
            for key in absent:
                in_bin = RecordGone("asked for by id: it is in the recycle bin", binned=True, seen=binned.seen)
                yield key, in_bin if key in binned.keys else self._alone(fetch, key)

    def _batch(self, fetch: Fetch, keys: Sequence[str], params: Params) -> Page:
        read, name = Whole(self.path, shape=self.shape), f"{self.path.rpartition('/')[2]} by id"
        page = read_batch(fetch, read, self.path, keys, threading.Event(), name=name, params=params)
        wanted = [i for i, key in enumerate(page.keys) if key in keys]
        page.records, page.keys = [page.records[i] for i in wanted], [page.keys[i] for i in wanted]
        return page

    def _alone(self, fetch: Fetch, key: str) -> Page | SyncError:
        """The survivor of a record that was merged away, or why there is none."""
        one = ById(f"{self.path}/{quote(key, safe='')}", at="")
        try:
            answer = fetch.ask(one.path, {"properties": "hs_object_id"}, threading.Event())
            into = fetch.splitter.page(one.path, one, answer).keys[0]
        except RecordGone as e:
            return RecordGone(f"{e.what}; nor is it in the recycle bin", seen=e.seen)
        except SyncError as e:
            return e
        if into is None or into == key:
            return self._batch(fetch, [key], {})
        survivor = self._batch(fetch, [into], {})
        return survivor if survivor.keys else RecordGone(f"merged into {into}, which is gone too", seen=survivor.seen)
