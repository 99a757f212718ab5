"""How long things are kept, as a part of the settings that hold for every account. A day is the least of all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Days = Annotated[int, Field(ge=1)]


class UpkeepSettings(BaseModel):
    """What expires when; the inbox, the outbox and what happened to records have settings of their own."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    sync_upkeep: Literal["off", "dry", "on"] = "dry"
    """Whether the clean-up jobs remove what has expired; dry says what would go. Their schedules run where it is on,
    wait to be switched on where it is dry, and are not there where it is off."""
    sync_evidence: Literal["keep", "omit"] = "keep"
    """Whether the bytes of refused and mended records are kept, and what webhooks sent after it was worked off."""
    sync_evidence_days: Days = 90
    """How long refused and mended records stay in sync.rejected after they were last met."""
    sync_tombstone_days: Days = 365
    """How long it is remembered what a record was that is gone."""
    sync_log_days: Days = 365
    """How long each sync has a row in sync.logs; after that it is in the sums of sync.forgotten_logs."""
    sync_single_log_days: Days = 30
    """The same for syncs of single records, as webhooks ask for them: they are many."""
    sync_activity_days: Days = 365
    """How long sync.activity_logs goes back."""
    sync_job_days: Days = 90
    """How long jobs that were asked for by name stay in sync.jobs."""
    sync_dagster_run_days: Days = 30
    """How long Dagster remembers runs, with their events and logs."""
    sync_dagster_runs: Annotated[int, Field(ge=1)] = 10
    """So many runs of each job stay, however old."""
    sync_dagster_event_days: Days = 7
    """How long Dagster remembers what sensors did without a run."""
