"""`dagster job execute`: what wrong usage ends with. Red, green and stopped runs are in test_job_execute.py."""

import pytest
from click.testing import CliRunner
from dagster._cli.job import job_execute_command

from sync_assets_tests.company import Company
from sync_assets_tests.deploy.commands import DEPLOY, PROJECT, of_workflow


@pytest.mark.filterwarnings("ignore:Function `job_execute_command`")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-m", "sync_assets.definitions", "-j", "no_such_job"], 2),
        (["-m", "sync_assets.definitions", "--no-such-option"], 2),
        (["-m", "sync_assets.no_such_module", "-j", "full_sync"], 1),
    ],
)
def test_wrong_usage_is_not_taken_for_a_red_run(company: Company, words: list[str], code: int) -> None:
    result = CliRunner().invoke(job_execute_command, words)
    assert result.exit_code == code and "superseded" not in str(result.exception), result.exception


def test_the_workflow_runs_what_the_page_tells_and_the_page_tells_every_code() -> None:
    page = (PROJECT / "docs" / "deploy.md").read_text()
    (execute,) = (p.words for p in of_workflow() if "execute" in p.words)
    assert " ".join(execute[1:5]) == "job execute -m sync_assets.definitions"
    for code in ("0", "1", "2", "not 0"):
        assert f"\n| {code} |" in page
    text = (DEPLOY / "ci" / "sync.yaml").read_text()
    assert "cancel-in-progress: false" in text and text.index("sync-assets migrate") < text.index("job execute")
