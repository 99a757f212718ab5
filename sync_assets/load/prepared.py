"""What the transaction of a batch will need, worked out before it begins, while the one before it is under way.

Only the transaction knows which rows have changed: the commit under way may hold another version of the same record. So
it is guessed from the last commit, and a wrong guess costs time alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync_assets.load import drift
from sync_assets.load.batch import Batch, Row
from sync_assets.load.look_up import Asked, asked

Mostly = Literal["unchanged", "held", "new"]
"""What most rows of a commit were."""


@dataclass(frozen=True)
class Prepared:
    found: Batch
    look_ups: list[Asked]
    alike: drift.Alike | None = None  # of all its rows, where most of them will be written
    new: list[Row] | None = None  # all of them in the order of their keys, where none will be held


def prepared(found: Batch, mostly: Mostly) -> Prepared:
    look_ups = asked(found.rows)
    if mostly == "unchanged":
        return Prepared(found, look_ups)
    for row in found.rows.values():
        row.held = mostly == "held"
        row.prepare()
    new = [found.rows[key] for look_up in look_ups for key in look_up.keys] if mostly == "new" else None
    return Prepared(found, look_ups, drift.alike(found.rows.values()), new)
