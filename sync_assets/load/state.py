"""What a sync found when it began: its row of the ledger, its sighting number, and where the entity stood."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sync_assets.extract.pages import Position


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
