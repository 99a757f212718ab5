"""S1-S5: secrets stay where they are, names of records are data and never SQL, and we choose every URL."""

import base64
import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from sync_assets.errors import SyncError
from sync_assets.extract.mask import Mask
from sync_assets.load.database import Database
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.canary import Canary, forms
from sync_assets_tests.company import Company
from sync_assets_tests.conftest import Grown
from sync_assets_tests.faults.recovery import assert_recovered
from sync_assets_tests.faults.trap import trap

SECRET = "canary-2f9b7c/+=&secret"
FAULTS = [("A3", {}), ("A4", {}), ("A6", {}), ("A7", {}), ("A8", {}), ("A11", {}), ("A11", {"status": 403})]


@pytest.mark.parametrize("account", ["kaiten", "worksection"])
@pytest.mark.parametrize(("fault", "options"), FAULTS, ids=[f"{f} {o.get('status', '')}".strip() for f, o in FAULTS])
def test_s1_no_failure_tells_a_secret(
    company: Company, canary: Canary, account: str, fault: str, options: dict[str, int]
) -> None:
    company.sandbox.faults.set(fault, **options)
    errors = [e for e in company.sync("full", account).values() if isinstance(e, SyncError)]
    assert errors
    for error in errors:
        canary.check("the error", "".join(traceback.format_exception(error)) + repr(error) + str(error.where))
        assert "hash=" not in str(error)
    assert_recovered(company, account)


def test_s1_the_library_does_not_log_urls(company: Company, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        company.synced("full", "worksection", "users")
    assert "hash=" not in caplog.text and "HTTP Request" not in caplog.text


@pytest.mark.parametrize("account", ["kaiten", "worksection"])
def test_s1_a_source_that_repeats_our_secret_does_not_make_us_repeat_it(
    make_company: Callable[..., Company], canary: Canary, account: str
) -> None:
    said = json.dumps({"status": "error", "status_code": 11, "message": f"bad key {SECRET} {quote(SECRET, safe='')}"})
    body = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode()
    with trap(lambda s: s.sendall(body)) as server:
        company = make_company(
            KAITEN_API_URL=f"http://127.0.0.1:{server.port}",
            KAITEN_API_TOKEN=SECRET,
            WORKSECTION_DOMAIN=f"http://127.0.0.1:{server.port}",
            WORKSECTION_HASH=SECRET,
        )
        done = company.sync("full", account)
    for error in done.values():
        assert isinstance(error, SyncError)
        canary.check("the error", "".join(traceback.format_exception(error)))


def test_s1_settings_print_masked(make_company: Callable[..., Company], canary: Canary) -> None:
    company = make_company(KAITEN_API_TOKEN=SECRET)
    canary.check("the settings", repr(company.settings) + repr(company.accounts) + str(company.accounts["kaiten"]))


def test_s1_a_database_that_refuses_tells_no_password(make_company: Callable[..., Company], canary: Canary) -> None:
    company = make_company()
    wrong = company.database_url.replace("//sync_assets:", f"//sync_assets:{quote(SECRET, safe='')}")
    database = Database(wrong, wait=0.1)
    with pytest.raises(SyncError) as told:
        database.query("select 1")
    canary.watch(SECRET)
    canary.check("the error", "".join(traceback.format_exception(told.value)))


def test_s1_the_mask_knows_every_form() -> None:
    mask = Mask((SECRET,))
    encoded = base64.b64encode(SECRET.encode()).decode()
    text = f"raw {SECRET}, quoted {quote(SECRET, safe='')}, base64 {encoded}"
    bird = Canary()
    bird.watch(SECRET)
    assert len(bird.sings(text)) >= 3
    assert bird.sings(mask(text)) == []


@pytest.mark.parametrize("form", sorted(forms(SECRET)))
def test_s1_the_canary_sings(company: Company, tmp_path: Path, form: str) -> None:
    bird = Canary()
    bird.watch(SECRET)
    with pytest.raises(AssertionError, match="a secret is in the log"):
        bird.check("the log", f"...{form}...")
    (tmp_path / "spool").write_text(form)
    with pytest.raises(AssertionError, match="a secret is in the file spool"):
        bird.check_folder(tmp_path)
    company.query("insert into sync.activity_logs (account, activity) values ('kaiten', %s)", (form,))
    with pytest.raises(AssertionError, match=r"a secret is in the table sync\.activity_logs"):
        bird.check_database(company.database_url)


@pytest.mark.parametrize(
    "deed",
    [
        "insert into sync.activity_logs (account, activity) values ('kaiten', %s)",
        "update hubspot.contacts set raw_json = raw_json || jsonb_build_object('x', %s::text)",
    ],
)
def test_s1_the_canary_sees_what_was_written_into_a_database_that_was_full(
    grown: Company, grown_template: Grown, deed: str
) -> None:
    bird = Canary()
    bird.watch(SECRET)
    bird.check_database(grown.database_url, grown_template.since)
    grown.query(deed, (SECRET,))
    with pytest.raises(AssertionError, match="a secret is in the table"):
        bird.check_database(grown.database_url, grown_template.since)


def test_s1_the_canary_sees_through_basic_authentication() -> None:
    bird = Canary()
    bird.watch(SECRET)
    for user in ("a", "ab", "abc"):
        assert bird.sings(base64.b64encode(f"{user}:{SECRET}".encode()).decode())


def test_s2_what_is_raised_carries_no_cause(company: Company) -> None:
    for fault in ("A3", "A4", "A6", "A7"):
        company.sandbox.faults.clear()
        company.sandbox.faults.set(fault)
        with company.connected() as connection:
            with pytest.raises(SyncError) as told:
                connection.door.ask("/tags", {})
            assert told.value.__cause__ is None
            assert told.value.__suppress_context__ or not isinstance(told.value.__context__, httpx.HTTPError)


@pytest.mark.parametrize("account", ["kaiten", "worksection"])
def test_s3_hostile_names_are_stored_as_they_are(company: Company, account: str) -> None:
    company.synced("full", account)
    company.sandbox.faults.set("S3", system=account)
    done = assert_recovered(company, account)
    assert sum(o.totals["updated"] for o in done.values()) >= 3
    names = company.query("select title from kaiten.cards") + company.query("select name from worksection.tasks")
    assert any("drop table" in name for (name,) in names)


@pytest.mark.parametrize(
    "key", ["1; drop table kaiten.cards", "1' or '1'='1", "../users/current", "1?limit=1", "%2e%2e"]
)
def test_s3_hostile_ids_reach_neither_sql_nor_another_endpoint(company: Company, key: str) -> None:
    company.synced("full", only="cards")
    before = len(company.sandbox.requests)
    company.sync("selective", only="cards", ids=(key,))
    asked = [entry.path for entry in company.sandbox.requests[before:]]
    assert set(asked) <= {"/api/latest/users/current", "/api/latest/cards/" + key}, asked
    assert len(asked) <= 2
    assert company.count("cards") == len(company.truth("cards"))
    company.synced("full")
    company.assert_world_equals_postgres()


def test_s3_hostile_options_are_values(make_company: Callable[..., Company], sandbox: Sandbox) -> None:
    company = make_company(sandbox, WORKSECTION_SYNC_TAG="x'); drop table worksection.tasks; --")
    company.synced("full", "worksection")
    assert company.count("tasks", "worksection") == len(company.truth("tasks", "worksection"))
    assert company.count("objects", "worksection") == 0


def test_s4_s5_a_redirect_is_not_followed(make_company: Callable[..., Company]) -> None:
    with trap(lambda s: None) as elsewhere:
        head = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{elsewhere.port}/steal\r\ncontent-length: 0\r\n\r\n"
        with trap(lambda s: s.sendall(head.encode())) as server:
            company = make_company(KAITEN_API_URL=f"http://127.0.0.1:{server.port}")
            error = company.sync("full", only="tags")["tags"]
    assert isinstance(error, SyncError) and "redirect" in str(error)
    assert elsewhere.knocks == []
