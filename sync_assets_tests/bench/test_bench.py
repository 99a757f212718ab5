"""The bench runs and says what it promises to say. Not what it measures: that depends on the machine and its guests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync_assets_tests.bench.lab import watched

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {
    *("wall", "cpu_client", "cpu_postgres", "peak_rss", "wal_bytes", "requests", "received_bytes", "violations"),
    *("counts", "runs"),
}


def quick_bench(path: Path, *systems: str, rows: list[int], goals: list[int]) -> list[dict[str, Any]]:
    """The scenarios of these systems, after what holds for every system's."""
    bench = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.bench", "--quick", "--json", path, "--only", *systems],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert bench.returncode == 0, bench.stdout + bench.stderr
    found = json.loads(path.read_text())
    assert {"cpu", "cores", "postgres", "load_before", "load_after"} <= found["machine"].keys()
    scenarios: list[dict[str, Any]] = found["scenarios"]
    assert [len(s["rows"]) for s in scenarios] == rows
    assert [len(s["goals"]) for s in scenarios] == goals
    for scenario in scenarios:
        assert scenario["title"] in bench.stdout
        for label, row in scenario["rows"].items():
            assert row.keys() == FIGURES
            assert row["wall"] > 0 and row["peak_rss"] > 0
            assert (row["requests"] > 0 and row["received_bytes"] > 0) or label == "idle dagster job"
    return scenarios


def counts(scenario: dict[str, Any], label: str) -> dict[str, int]:
    found: dict[str, int] = scenario["rows"][label]["counts"]
    return found


def test_a_job_s_memory_is_its_own_and_not_that_of_whoever_started_it(tmp_path: Path) -> None:
    mine = bytearray(os.urandom(1)) * 400_000_000
    command = [sys.executable, "-c", "import time; held = bytearray(b'a') * 60_000_000; time.sleep(0.3)"]
    peak = watched(command, dict(os.environ), tmp_path)["peak_rss"]
    assert 60_000_000 < peak < 150_000_000 < len(mine)
    with pytest.raises(RuntimeError, match="last words"):
        watched([sys.executable, "-c", "raise SystemExit('last words')"], dict(os.environ), tmp_path)


def test_a_quick_bench_of_kaiten_fills_every_table_and_names_every_goal(tmp_path: Path) -> None:
    path = tmp_path / "figures" / "bench.json"
    pace, baseline, dagster, memory = quick_bench(path, "kaiten", rows=[1, 6, 2, 2], goals=[3, 3, 0, 1])
    assert counts(baseline, "first load, sync_assets")["created"] == 300
    assert counts(baseline, "nothing changed, sync_assets")["unchanged"] == 300
    assert counts(baseline, "1 % changed, sync_assets")["updated"] == 3
    assert counts(baseline, "first load, baseline") == {"fetched": 300}
    assert counts(dagster, "dagster job execute") == counts(dagster, "sync alone")
    assert counts(memory, "400 cards")["created"] - counts(memory, "200 cards")["created"] == 200
    assert pace["rows"]["120 cards"]["violations"] == 0


def test_a_quick_bench_of_lists_fills_both_tables_and_names_every_goal(tmp_path: Path) -> None:
    lists = {"kommo": 300, "bitrix": 600}
    found = iter(quick_bench(tmp_path / "bench.json", *lists, rows=[1, 6, 1, 8], goals=[3, 3, 3, 3]))
    for records, pace, beside in zip(lists.values(), found, found, strict=True):
        assert pace["rows"]["first load"]["violations"] == 0
        created = counts(beside, "first load, sync_assets")["created"]
        assert created == counts(beside, "first load, baseline")["fetched"] >= records
        assert counts(beside, "nothing changed, sync_assets")["unchanged"] == created
        assert 0 < counts(beside, "1 % changed, sync_assets")["updated"] < created / 20


def test_a_quick_bench_of_hubspot_fills_every_table_and_names_every_goal(tmp_path: Path) -> None:
    rows, goals = [6, 1, 4, 2, 2], [4, 1, 3, 4, 1]
    beside, changes, wide, pace, memory = quick_bench(tmp_path / "bench.json", "hubspot", rows=rows, goals=goals)
    assert counts(beside, "first load, sync_assets")["created"] == 500
    assert counts(beside, "nothing changed, sync_assets")["unchanged"] == 500
    assert counts(beside, "1 % changed, sync_assets")["updated"] == 5
    assert counts(beside, "first load, baseline") == {"fetched": 500}
    assert counts(changes, "incremental, 250 contacts changed")["updated"] == 250
    assert counts(wide, "first load, sync_assets")["created"] == counts(wide, "first load, baseline")["fetched"] == 200
    assert counts(memory, "400 contacts")["created"] - counts(memory, "200 contacts")["created"] >= 200
    assert [row["violations"] for row in pace["rows"].values()] == [0, 0]


def test_a_quick_bench_of_the_receiver_keeps_all_that_it_answered(tmp_path: Path) -> None:
    (answers,) = quick_bench(tmp_path / "bench.json", "receiver", rows=[2], goals=[8])
    assert counts(answers, "100 requests/s for 1 s")["kept"] == 100
    assert counts(answers, "200 events of 20 records at once")["kept"] == 200
    assert {row["violations"] for row in answers["rows"].values()} == {0}
