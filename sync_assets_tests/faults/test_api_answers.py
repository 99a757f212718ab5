"""A6, A7, A8: answers that were cut, are no JSON or have another shape; none of them is ever an empty page."""

import re

import pytest

from sync_assets.errors import FuseBlown, SourceUnavailable, SyncError, WrongShape
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed

NOT_JSON = {
    "html": r"text/html, \d+ bytes, starts with <html>",
    "login": r"text/html, \d+ bytes, starts with <!doctype",
    "empty": r"application/json, 0 bytes",
    "204": r"application/json, 0 bytes",
    "bom": r"application/json, \d+ bytes, starts with a byte order mark",
}


@pytest.mark.parametrize("way", ["length", "chunked"])
def test_a6_a_body_cut_short_is_asked_again_and_never_believed(grown: Company, way: str) -> None:
    grown.sandbox.faults.set("A6", path="/tags", times=1, keep=0.5, **{"with": way})
    assert grown.synced("full", only="tags")["tags"].totals["requests"] == 2
    grown.sandbox.faults.set("A6", path="/tags", keep=0.5, **{"with": way})
    failed(grown.sync("full", only="tags"), "tags", SourceUnavailable)
    assert assert_recovered(grown, only="tags")["tags"].totals["deleted"] == 0


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.999])
def test_a6_wherever_it_was_cut(company: Company, keep: float) -> None:
    company.synced("full", only="tags")
    company.sandbox.faults.set("A6", path="/tags", keep=keep, **{"with": "chunked"})
    failed(company.sync("full", only="tags"), "tags", SourceUnavailable)


@pytest.mark.parametrize("entity", ["tags", "cards", "spaces"])
def test_a6_a_cut_that_is_valid_json_is_caught_by_the_fuse(grown: Company, entity: str) -> None:
    grown.sandbox.faults.set("A6", path=f"/{entity}", cut="[]")
    error = failed(grown.sync("full", only=entity), entity, FuseBlown)
    assert "shows 0 records" in error.what
    assert assert_recovered(grown, only=entity)[entity].totals["deleted"] == 0


@pytest.mark.parametrize("variant", NOT_JSON)
def test_a7_what_is_not_json_is_asked_again_and_then_described(grown: Company, variant: str) -> None:
    grown.sandbox.faults.set("A7", path="/tags", times=2, variant=variant)
    assert grown.synced("full", only="tags")["tags"].totals["requests"] == 3
    grown.sandbox.faults.set("A7", path="/tags", variant=variant)
    error = failed(grown.sync("full", only="tags"), "tags", SourceUnavailable)
    assert re.fullmatch("the answer is not JSON: " + NOT_JSON[variant], error.what)
    assert_recovered(grown, only="tags")


def test_a7_another_charset_than_promised_damages_no_neighbour(grown: Company) -> None:
    grown.sandbox.faults.set("A7", path="/tags", times=1, variant="latin1")
    done = grown.sync("full", only="tags")["tags"]
    if not isinstance(done, SyncError):
        assert done.totals["deleted"] == 0
    assert grown.count("tags") == len(grown.truth("tags"))
    assert_recovered(grown, only="tags")


@pytest.mark.parametrize("variant", ["list_missing", "null", "object", "error200", "numbers"])
@pytest.mark.parametrize(
    ("account", "path", "entity"),
    [("kaiten", "/tags", "tags"), ("kaiten", "/cards", "cards"), ("worksection", "get_all_tasks", "tasks")],
    ids=["kaiten whole", "kaiten pages", "worksection"],
)
def test_a8_another_shape_is_an_error_and_no_empty_page(
    grown: Company, variant: str, account: str, path: str, entity: str
) -> None:
    grown.sandbox.faults.set("A8", system=account, path=path, variant=variant)
    done = grown.sync("full", account, entity)
    error = failed(done, entity, SyncError)
    assert isinstance(error, WrongShape | SourceUnavailable), repr(error)
    assert grown.query("select * from sync.tombstones") == []
    assert assert_recovered(grown, account, only=entity)[entity].totals["deleted"] == 0


@pytest.mark.parametrize(
    ("variant", "says"),
    [("object", "object"), ("list_missing", "object"), ("null", "not JSON"), ("error200", "error with status 200")],
)
def test_a8_the_error_names_the_path_and_what_was_found(company: Company, variant: str, says: str) -> None:
    company.sandbox.faults.set("A8", path="/tags", variant=variant)
    error = failed(company.sync("full", only="tags"), "tags", SyncError)
    assert says in error.what
    assert "/tags" in error.where.get("page", error.where.get("endpoint"))
