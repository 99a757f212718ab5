"""What a person is told of Kommo's tokens: their kind, and when they end."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from sync_assets.doctor import Line, diagnose
from sync_assets.systems.kommo.oauth import ends_at
from sync_assets_tests.company import Company
from sync_assets_tests.kommo_door import auth, oauth_of


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Company], list[Line]]:
    """told(company) -> what doctor says of Kommo; the environment is the company's."""

    def run(company: Company) -> list[Line]:
        monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
        for name, value in company.env.items():
            monkeypatch.setenv(name, value)
        return [line for line in diagnose() if line.what.startswith("kommo")]

    return run


def of_token(lines: list[Line]) -> Line:
    (found,) = [line for line in lines if line.what == "kommo token"]
    return found


def test_doctor_says_when_a_long_lived_token_ends(company: Company, told: Callable[..., list[Line]]) -> None:
    line = of_token(told(company))
    ends = ends_at(company.env["KOMMO_ACCESS_TOKEN"])
    assert ends and ends > datetime.now(UTC) + timedelta(days=365)
    assert (line.state, line.says, line.todo) == ("ok", f"long-lived, ends {ends:%Y-%m-%d}", "")


@pytest.mark.parametrize(("days", "word", "accepted"), [(12, "ends", True), (-3, "ended", False)])
def test_doctor_wants_a_token_replaced_that_ends_soon(
    make_company: Callable[..., Company], sandbox, told: Callable[..., list[Line]], days: int, word: str, accepted: bool
) -> None:  # type: ignore[no-untyped-def]
    door = auth(sandbox)
    behind = sandbox.world.clock.peek().timestamp() - datetime.now(UTC).timestamp()
    door.long_lived = door._jwt(int(days * 86_400 - behind))
    if not accepted:
        sandbox.faults.set("A11", system="kommo")
    lines = told(make_company(sandbox, KOMMO_ACCESS_TOKEN=door.long_lived))
    line = of_token(lines)
    ends = datetime.now(UTC) + timedelta(days=days)
    assert (line.state, line.says) == ("note", f"long-lived, {word} {ends:%Y-%m-%d}")
    assert line.todo == "issue a new one and set it"
    assert ("bad" in {other.state for other in lines}) is not accepted


def test_doctor_tells_the_state_of_oauth(
    make_company: Callable[..., Company], sandbox, told: Callable[..., list[Line]]
) -> None:  # type: ignore[no-untyped-def]
    company = make_company(sandbox, **oauth_of(sandbox))
    line = of_token(told(company))
    (access, refresh), *_ = company.query("select access_ends_at, refresh_ends_at from sync.tokens")
    assert line.state == "ok"
    assert line.says == (
        f"OAuth, renewed 1 times; the access token ends {access:%Y-%m-%d %H:%M} UTC;"
        f" unused, the refresh token ends {refresh:%Y-%m-%d}"
    )
    day, quarter = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=90)
    assert abs(access - day) < timedelta(minutes=1) > abs(refresh - quarter)


def test_doctor_says_that_oauth_has_not_begun_where_it_is_refused(
    make_company: Callable[..., Company], sandbox, told: Callable[..., list[Line]]
) -> None:  # type: ignore[no-untyped-def]
    auth(sandbox).uninstall()
    lines = told(make_company(sandbox, **oauth_of(sandbox)))
    assert of_token(lines).state == "note" and "nothing stored yet" in of_token(lines).says
    (bad,) = [line for line in lines if line.state == "bad"]
    assert "refuses the refresh token" in bad.says and "set KOMMO_REFRESH_TOKEN" in bad.todo


def jwt(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.c2ln"


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        (jwt({"exp": 1_900_000_000}), datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
        (jwt({"exp": "soon"}), None),
        (jwt({"exp": 10**18}), None),
        (jwt([1]), None),
        (jwt({}), None),
        ("e30.!!!.c2ln", None),
        ("no-jwt", None),
        ("a.b", None),
        ("", None),
    ],
)
def test_the_end_of_a_token_is_read_from_a_jwt_and_from_nothing_else(token: str, ends: datetime | None) -> None:
    assert ends_at(token) == ends
