"""The report as Dagster has it: numbers to plot, a picture, text that is text; and that a red run has one too."""

import base64
import json
import re
from typing import Any
from xml.etree import ElementTree

import dagster as dg
from typer.testing import CliRunner

from sync_assets import cli
from sync_assets.orchestration.report import REPORT
from sync_assets.shown import described
from sync_assets_tests.orchestration.conftest import Installation, Run

NUMBERS = (
    "fetched", "created", "updated", "unchanged", "deleted", "rejected", "errors", "warnings", "recommendations",
    "requests", "duration", "operations_per_second", "throttled_seconds", "checks",
)  # fmt: skip
SOME = ("kaiten/tags", "kaiten/users", "sync/report")


def reported(run: Run) -> dict[str, Any]:
    events = run.result.get_asset_materialization_events()
    (found,) = (e.materialization for e in events if e.materialization.asset_key == REPORT)
    return dict(found.metadata)


def told(run: Run) -> dict[str, Any]:
    result = CliRunner().invoke(cli.app, ["report", "--json", "--run", run.result.run_id])
    assert result.exit_code == 0, result.output
    found = dict(json.loads(result.stdout))
    assert found["success"] is run.green, "what Dagster says of the run"
    return found


def test_a_run_has_numbers_a_picture_and_a_table(installation: Installation) -> None:
    first = installation.run("kaiten_full_sync", assets=SOME)
    metadata = reported(first)
    assert first.green
    for name in NUMBERS:
        assert isinstance(metadata[name], dg.IntMetadataValue | dg.FloatMetadataValue), name
    company = installation.company
    count = company.count("tags") + company.count("users")
    assert metadata["created"].value == count and metadata["errors"].value == 0
    assert "| kaiten/tags | full | success |" in metadata["entities"].value

    picture = re.fullmatch(
        r"!\[[^]]+\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", metadata["seconds_by_entity"].value
    )
    assert picture
    svg = ElementTree.fromstring(base64.b64decode(picture[1]))  # noqa: S314  our own
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert {str(text).split()[0] for text in texts} == {"kaiten/tags", "kaiten/users"}

    found = told(first)
    assert found["success"] is True and found["state"] == "finished" and found["job"] == "kaiten_full_sync"
    assert (
        found["summary"]["created"] == count
        and found["checks"]["evaluated"] == len(first.checks) == metadata["checks"].value
    )
    assert found["recommendations"] and found["recommendations"][0]["limit"] == "freshness", "nobody synced the others"
    assert "spaces" in metadata["what_to_do"].value


def test_a_red_run_has_its_report_and_says_what_never_came_to_the_ledger(installation: Installation) -> None:
    company = installation.company
    company.sandbox.faults.set("A3", system="kaiten", path=r"/spaces$", status=500)
    run = installation.run("kaiten_full_sync", assets=("kaiten/spaces", "kaiten/boards", *SOME))
    found = told(run)
    assert not run.green and found["success"] is False and found["summary"]["errors"] == 1
    assert {(i["entity"], i["severity"]) for i in found["issues"]} == {
        ("kaiten/spaces", "error"),
        ("kaiten/boards", "warning"),
    }
    metadata = reported(run)
    assert metadata["errors"].value == 1 and "**error** **kaiten/spaces**" in metadata["what_to_do"].value
    company.sandbox.faults.clear()

    # A token that is refused is noticed before anything is written down.
    company.sandbox.faults.set("A11", system="kaiten", status=401)
    run = installation.run("kaiten_full_sync", assets=SOME)
    found = told(run)
    assert not run.green and found["entities"] == [] and found["success"] is False
    assert {i["entity"] for i in found["issues"]} == {"kaiten/tags", "kaiten/users"}
    assert all("401" in i["says"] and i["next_step"] for i in found["issues"])
    company.sandbox.faults.clear()

    # An ERROR check alone.
    company.sandbox.faults.set("A14", system="kaiten", path="/users$", forget=1.0)
    run = installation.run("kaiten_full_sync", assets=SOME, mode="full", allow_deletions=company.count("users"))
    found = told(run)
    assert not run.green and list(run.failures) == ["sync__report"]
    assert found["success"] is False and [e["status"] for e in found["entities"]] == ["success", "success"]
    assert reported(run)["errors"].value == found["summary"]["errors"] == 1


def test_s7_text_in_the_report_is_no_markup() -> None:
    shown = described("a|b ![x](http://trap) <img src=x> www.trap.com me@trap.com `code`\n# head")
    assert not re.search(r"(?<!\\)[<\[\]`|]", shown), shown
    for mark in ("http:", "www.", "me@t", "\n"):
        assert mark not in shown, shown
