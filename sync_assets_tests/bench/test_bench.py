"""The bench runs and says what it promises to say. Not what it measures: that depends on the machine and its guests."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {"wall", "cpu_client", "cpu_postgres", "peak_rss", "wal_bytes", "requests", "violations", "counts", "runs"}


def test_a_quick_bench_fills_every_table_and_names_every_goal(tmp_path: Path) -> None:
    path = tmp_path / "figures" / "bench.json"
    bench = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.bench", "--quick", "--json", path],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert bench.returncode == 0, bench.stdout + bench.stderr
    found = json.loads(path.read_text())
    assert {"cpu", "cores", "postgres", "load_before", "load_after"} <= found["machine"].keys()
    pace, baseline, dagster, memory = found["scenarios"]
    assert [len(s["rows"]) for s in found["scenarios"]] == [1, 6, 2, 2]
    assert [len(s["goals"]) for s in found["scenarios"]] == [3, 3, 0, 1]
    for scenario in found["scenarios"]:
        assert scenario["title"] in bench.stdout
        for row in scenario["rows"].values():
            assert row.keys() == FIGURES
            assert row["requests"] > 0 and row["wall"] > 0 and row["peak_rss"] > 0
    rows = baseline["rows"]
    assert rows["first load, sync_assets"]["counts"]["created"] == 300
    assert rows["nothing changed, sync_assets"]["counts"]["unchanged"] == 300
    assert rows["1 % changed, sync_assets"]["counts"]["updated"] == 3
    assert rows["first load, baseline"]["counts"] == {"fetched": 300}
    job, alone = (dagster["rows"][name]["counts"] for name in ("dagster job execute", "sync alone"))
    assert job == alone
    assert memory["rows"]["400 cards"]["counts"]["created"] - memory["rows"]["200 cards"]["counts"]["created"] == 200
    assert pace["rows"]["120 cards"]["violations"] == 0
