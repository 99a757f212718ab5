"""The main job on real input: `dagster job execute -j full_sync` over answers that a live Kaiten account gave."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sync_assets.local import PROJECT, bare_environment
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import BITRIX, HUBSPOT, KOMMO, Company
from sync_assets_tests.contract.test_replay import RECORDED, recorded, recordings

__all__ = ["recordings"]  # a fixture

OTHERS = (
    "WORKSECTION_DOMAIN",
    "WORKSECTION_HASH",
    "WORKSECTION_SYNC_TAG",
    "WORKSECTION_RATE",
    *HUBSPOT,
    *KOMMO,
    *BITRIX,
)


def test_full_sync_of_recorded_answers_from_the_command_line(
    recordings: Path, make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(replay=recordings), **dict.fromkeys(OTHERS))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            "job",
            "execute",
            "-m",
            "sync_assets.definitions",
            "-j",
            "full_sync",
        ],
        env=bare_environment({**company.env, "SYNC_ASSETS_ENV_FILE": os.devnull}),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    for other in ("Worksection", "HubSpot"):
        assert f"{other} is left out" in done.stderr + done.stdout
    company.assert_ledger_adds_up()
    for entity, (listed, *elsewhere) in RECORDED.items():
        held = company.raw(entity)
        records = recorded(recordings, listed)
        assert {r["id"] for r in records} <= held.keys(), f"{entity}: rows are missing"
        also = [r for pattern in elsewhere for r in recorded(recordings, pattern)]
        for record in records:
            for name, value in record.items():
                known = [r[name] for r in (*records, *also) if r["id"] == record["id"] and name in r]
                if name in held[record["id"]]:
                    assert held[record["id"]][name] in known, f"{entity} {record['id']}: {name} is not {value!r}"
    titles = dict(company.query("select id, title from kaiten.cards"))
    assert titles[67089469] == "test card from cli"
    assert company.query("select status, count(*) from sync.logs group by 1") == [("success", 10)]
