"""A report in the form that programs read; its names and units are a promise. Times are ISO 8601, durations seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sync_assets.report.figures import Figures, Trend
from sync_assets.report.report import Report

SUMMARY = ("created", "updated", "unchanged", "deleted", "rejected")
WALL = ("asking_seconds", "paced_seconds", "paused_seconds", "storing_seconds")
SLOWEST = 3


def told(report: Report) -> dict[str, Any]:
    """Ready for json.dumps. What is not known is null: success before the end, and trends of a first sync."""
    summary = summary_of(report)
    return {
        "success": report.success,
        "state": report.state,
        "run_id": report.run_id,
        "job": report.job or None,
        "started_at": report.started_at.isoformat() if report.started_at else None,
        "duration": round(report.duration, 3),
        "summary": summary,
        "entities": [_entity(sync, report.trends.get(sync.id)) for sync in report.syncs],
        "performance": performance_of(report),
        "checks": {"evaluated": report.checks, "not_passed": len(report.failed_checks)},
        "issues": [asdict(issue) for issue in report.issues],
        "recommendations": [asdict(each) for each in report.recommendations],
    }


def summary_of(report: Report) -> dict[str, int]:
    counts = {name: sum(getattr(sync, name) for sync in report.syncs) for name in (*SUMMARY, "fetched")}
    return {**counts, "errors": report.errors}


def performance_of(report: Report) -> dict[str, Any]:
    """Over the time of the syncs: what lies between them is neither the API's nor Postgres'."""
    seconds = sum(sync.seconds for sync in report.syncs)
    fetched = sum(sync.fetched for sync in report.syncs)
    slowest = sorted(report.syncs, key=lambda sync: -sync.seconds)[:SLOWEST]
    return {
        "operations_per_second": round(fetched / seconds, 3) if seconds else None,
        "requests": sum(sync.requests for sync in report.syncs),
        "seconds": round(seconds, 3),
        "throttled_seconds": _sum(report.syncs, "throttled_seconds"),
        **{name: _sum(report.syncs, name) for name in WALL},
        "slowest": [{"entity": sync.entity, "seconds": round(sync.seconds, 3)} for sync in slowest],
    }


def _entity(sync: Figures, trend: Trend | None) -> dict[str, Any]:
    return {
        "account": sync.account,
        "system": sync.system,
        "entity": sync.name,
        "kind": sync.kind,
        "complete": sync.complete,
        "status": sync.status,
        "started_at": sync.started_at.isoformat(),
        "counts": sync.counts,
        "seconds": round(sync.seconds, 3),
        "operations_per_second": round(sync.operations_per_second, 3),
        "requests": sync.requests,
        "throttled_seconds": round(sync.throttled_seconds, 3),
        **{name: getattr(sync, name) for name in (*WALL, "floor_seconds", "rate")},
        "note": sync.note or None,
        "trend": _trend(trend) if trend else None,
    }


def _trend(trend: Trend) -> dict[str, Any]:
    ratios = {name: None if ratio is None else round(ratio, 3) for name, ratio in trend.ratios.items()}
    each = {name: {"median": round(value, 3), "ratio": ratios[name]} for name, value in trend.medians.items()}
    return {"runs": trend.runs, **each}


def _sum(syncs: Sequence[Figures], name: str) -> float:
    return round(sum(getattr(sync, name) or 0.0 for sync in syncs), 3)
