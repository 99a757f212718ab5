"""What a sync found when it began: its row of the ledger, its sighting number, and where the entity stood."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_assets.extract.pages import Position

SWEEP_LIFE = 24 * 3600
"""An unfinished sweep older than this many seconds starts afresh: what it saw says too little about today."""


@dataclass
class State:
    """What a sync found when it began."""

    log_id: int
    fence: int
    watermark: datetime | None
    cursor: Position | None
    sweep: int
    sweep_seen: int
    began: str | None  # the source's time when the sweep began
    last_full_at: datetime | None
    rows: int | None
    rights: str | None

    @property
    def swept_since(self) -> datetime | None:
        return datetime.fromisoformat(self.began) if self.began else None

    def go_on(self, saved: dict[str, Any] | None) -> None:
        """Takes up the unfinished sweep that was saved, unless it is too old."""
        if saved and time.time() - saved["saved"] < SWEEP_LIFE:
            self.cursor, self.sweep = saved["position"], saved["sweep"]
            self.sweep_seen, self.began = saved["seen"], saved["began"]
