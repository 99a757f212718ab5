"""The environment becomes typed settings; what is missing or unsafe is named together with the next step."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets.account import connected_accounts, former_names
from sync_assets.addresses import safe_url
from sync_assets.errors import FixConfig, MissingSetting, SyncError, UnsafeSetting
from sync_assets.settings import SYSTEM_NAMES, environment, sync_settings
from sync_assets.systems import SYSTEMS
from sync_assets.systems.kommo import KOMMO as KOMMO_SYSTEM

KAITEN = {"KAITEN_API_URL": "https://example.kaiten.ru/api/latest", "KAITEN_API_TOKEN": "canary-kaiten"}
WORKSECTION = {"WORKSECTION_DOMAIN": "example.worksection.com", "WORKSECTION_HASH": "canary-worksection"}
HUBSPOT = {"HUBSPOT_ACCESS_TOKEN": "canary-hubspot"}
KOMMO = {"KOMMO_BASE_URL": "example.kommo.com", "KOMMO_ACCESS_TOKEN": "canary-kommo"}
KOMMO_OAUTH = {
    "KOMMO_BASE_URL": "example.kommo.com",
    "KOMMO_CLIENT_ID": "canary-id",
    "KOMMO_CLIENT_SECRET": "canary-secret",
    "KOMMO_REDIRECT_URI": "https://example.test/canary",
    "KOMMO_REFRESH_TOKEN": "canary-refresh",
}


def accounts(env: dict[str, str]) -> dict[str, object]:
    return {a.name: a.settings for a in connected_accounts(SYSTEMS, env)[0]}


def test_an_empty_environment_connects_nothing_and_says_what_to_set() -> None:
    connected, left_out = connected_accounts(SYSTEMS, {})
    assert connected == []
    assert left_out == [
        "Kaiten is left out: KAITEN_API_URL and KAITEN_API_TOKEN not set",
        "Worksection is left out: WORKSECTION_DOMAIN and WORKSECTION_HASH not set",
        "HubSpot is left out: HUBSPOT_ACCESS_TOKEN not set",
        "Kommo is left out: KOMMO_BASE_URL and KOMMO_ACCESS_TOKEN not set",
        "Bitrix is left out: BITRIX_WEBHOOK_URL not set",
    ]


def test_a_second_account_is_found_by_the_label_in_its_variables() -> None:
    emea = {name.replace("KAITEN_", "KAITEN_EMEA_"): value for name, value in KAITEN.items()}
    assert sorted(accounts({**KAITEN, **emea, **WORKSECTION})) == ["kaiten", "kaiten_emea", "worksection"]
    assert sorted(accounts(emea)) == ["kaiten_emea"]


def test_nothing_comes_from_variables_that_bear_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    env = KAITEN | WORKSECTION | HUBSPOT | KOMMO
    found = accounts(env)
    for system in SYSTEMS:
        for field in system.settings.model_fields:
            monkeypatch.setenv(field.upper(), "7")
    assert accounts(env) == found
    monkeypatch.setenv("SYNC_RETRIES", "7")
    assert sync_settings({}).sync_retries != 7, "this environment was not the one given"


@pytest.mark.parametrize("missing", ["KAITEN_API_URL", "KAITEN_API_TOKEN"])
def test_half_an_account_is_an_error_that_names_the_other_half(missing: str) -> None:
    env = {name: value for name, value in KAITEN.items() if name != missing}
    with pytest.raises(MissingSetting) as told:
        connected_accounts(SYSTEMS, env)
    assert f"Kaiten is half set: {missing} missing" in str(told.value)
    assert f"Next: set {missing}" in str(told.value)
    assert "canary" not in str(told.value)


def test_kommo_comes_in_by_a_long_lived_token_or_by_oauth() -> None:
    (long_lived,), (oauth,) = accounts(KOMMO).values(), accounts(KOMMO_OAUTH).values()
    assert KOMMO_SYSTEM.api(long_lived).oauth is None
    assert "Authorization" in KOMMO_SYSTEM.api(long_lived).outgoing("/account", {}).headers
    found = KOMMO_SYSTEM.api(oauth).oauth
    assert found is not None and (found.seed, found.secret) == ("canary-refresh", "canary-secret")
    assert "Authorization" not in KOMMO_SYSTEM.api(oauth).outgoing("/account", {}).headers


@pytest.mark.parametrize("missing", [name for name in KOMMO_OAUTH if name != "KOMMO_BASE_URL"])
def test_half_of_kommos_oauth_is_an_error_that_names_the_other_half(missing: str) -> None:
    env = {name: value for name, value in KOMMO_OAUTH.items() if name != missing}
    with pytest.raises(MissingSetting) as told:
        connected_accounts(SYSTEMS, env)
    assert f"Kommo is half set: {missing} missing" in str(told.value) and f"Next: set {missing} (" in str(told.value)
    assert "see .env.example)" not in str(told.value) or missing == "KOMMO_REFRESH_TOKEN"
    assert "canary" not in str(told.value)


@pytest.mark.parametrize("also", [name for name in KOMMO_OAUTH if name != "KOMMO_BASE_URL"])
def test_both_ways_into_kommo_at_once_are_an_error_that_names_both(also: str) -> None:
    labelled = {name.replace("KOMMO_", "KOMMO_EMEA_"): value for name, value in (KOMMO | {also: "canary"}).items()}
    with pytest.raises(FixConfig) as told:
        connected_accounts(SYSTEMS, labelled)
    one, other = "KOMMO_EMEA_ACCESS_TOKEN", also.replace("KOMMO_", "KOMMO_EMEA_")
    assert f"two ways at once: {one} and {other}" in str(told.value)
    assert told.value.next_step == f"remove {one}, or {other}" and "canary" not in str(told.value)


def test_a_former_name_is_pointed_out() -> None:
    _, left_out = connected_accounts(SYSTEMS, {"WS_API_KEY": "k", "WS_DOMAIN": "d"})
    assert "WS_API_KEY is the former name of WORKSECTION_HASH" in left_out[1]
    assert former_names(SYSTEMS, {"WS_API_KEY": "k", "SUPABASE_KEY": "s"}) == [
        "WS_API_KEY is the former name of WORKSECTION_HASH: rename it",
        "SUPABASE_KEY is not used: set DATABASE_URL to the Postgres connection string of the Supabase project",
    ]
    assert former_names(SYSTEMS, {"WS_API_KEY": "k", "WORKSECTION_HASH": "k"}) == []
    for old in ("HUBSPOT_API_KEY", "HUBSPOT_TOKEN", "HUBSPOT_PRIVATE_APP_TOKEN"):
        _, left_out = connected_accounts(SYSTEMS, {old: "canary"})
        assert f"{old} is the former name of HUBSPOT_ACCESS_TOKEN" in left_out[2] and "canary" not in left_out[2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"KAITEN_RATE": "fast"}, "KAITEN_RATE"),
        ({"WORKSECTION_MAPPING": "both"}, "WORKSECTION_MAPPING"),
        ({"WORKSECTION_STAGE_PATTERN": "stage("}, "WORKSECTION_STAGE_PATTERN"),
        ({"WORKSECTION_AUTH": "none"}, "WORKSECTION_AUTH"),
        ({"HUBSPOT_DAILY_RESERVE": "91"}, "HUBSPOT_DAILY_RESERVE"),
        ({"HUBSPOT_PHONE_REGION": "Russia"}, "HUBSPOT_PHONE_REGION"),
    ],
)
def test_a_value_that_is_not_valid_is_named_without_being_shown(change: dict[str, str], says: str) -> None:
    with pytest.raises(MissingSetting) as told:
        connected_accounts(SYSTEMS, {**KAITEN, **WORKSECTION, **HUBSPOT, **change})
    assert says in str(told.value)


@pytest.mark.parametrize("given", ["soon", "-3", "0", "cards=", "cards", "nan", "24,24", "cards=1;tags=2", "inf"])
def test_hours_that_are_none_are_named(given: str) -> None:
    with pytest.raises(MissingSetting, match=r"KAITEN_FRESH_HOURS: .*write hours \(24\)"):
        connected_accounts(SYSTEMS, {**KAITEN, "KAITEN_FRESH_HOURS": given})


def test_hours_of_an_entity_that_is_none_are_refused_with_those_that_there_are() -> None:
    env = {name.replace("KAITEN_", "KAITEN_EMEA_"): value for name, value in KAITEN.items()}
    with pytest.raises(FixConfig) as told:
        connected_accounts(SYSTEMS, {**env, "KAITEN_EMEA_FRESH_HOURS": "24,cards=2,crads=3"})
    assert "KAITEN_EMEA_FRESH_HOURS names crads, which is no entity of Kaiten" in str(told.value)
    assert "spaces, users" in told.value.next_step


def test_a_number_that_is_none_is_named() -> None:
    with pytest.raises(MissingSetting, match="SYNC_BATCH_SIZE"):
        sync_settings({"SYNC_BATCH_SIZE": "many"})


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://example.kaiten.ru", "https://example.kaiten.ru/api/latest"),
        ("https://example.kaiten.ru/", "https://example.kaiten.ru/api/latest"),
        ("https://example.kaiten.ru/api/v1/", "https://example.kaiten.ru/api/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/latest"),
    ],
)
def test_the_address_of_kaiten_may_leave_the_path_out(given: str, address: str) -> None:
    (settings,) = accounts({**KAITEN, "KAITEN_API_URL": given}).values()
    assert settings.api_url == address  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["example.worksection.com", "https://example.worksection.com/"])
def test_the_domain_of_worksection_may_leave_the_scheme_out(given: str) -> None:
    (settings,) = accounts({**WORKSECTION, "WORKSECTION_DOMAIN": given}).values()
    assert settings.domain == "https://example.worksection.com"  # type: ignore[attr-defined]


def test_another_host_is_no_worksection_account() -> None:
    with pytest.raises(SyncError, match="names no Worksection account"):
        connected_accounts(SYSTEMS, {**WORKSECTION, "WORKSECTION_DOMAIN": "example.com"})


def test_the_worksection_mark_must_be_in_the_host() -> None:
    with pytest.raises(SyncError):
        connected_accounts(SYSTEMS, {**WORKSECTION, "WORKSECTION_DOMAIN": "evil.test/.worksection."})


@pytest.mark.parametrize("url", ["https://127.1", "https://0x7f.1", "https://2130706433", "https://[::ffff:10.0.0.1]"])
def test_a_private_host_in_disguise_is_refused(url: str) -> None:
    with pytest.raises(UnsafeSetting):
        safe_url(url, setting="KAITEN_API_URL")


def test_secrets_print_masked() -> None:
    connected, _ = connected_accounts(SYSTEMS, {**KAITEN, **WORKSECTION, **HUBSPOT, **KOMMO})
    assert "canary" not in repr(connected) + str(connected)
    assert "canary" not in repr([a.options for a in connected])


def test_the_environment_wins_over_the_file_and_empty_means_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("KAITEN_API_URL=https://file.kaiten.ru\nKAITEN_API_TOKEN=from-file\nKAITEN_RATE=\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNC_ASSETS_ENV_FILE", raising=False)
    monkeypatch.setenv("KAITEN_API_URL", "https://process.kaiten.ru")
    found = environment()
    assert (found["KAITEN_API_URL"], found["KAITEN_API_TOKEN"]) == ("https://process.kaiten.ru", "from-file")
    assert "KAITEN_RATE" not in found


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], Path]:
    """secret_file(NAME, content) -> the file that NAME_FILE now names."""
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name.lower()
        path.write_bytes(content)
        monkeypatch.setenv(f"{name}_FILE", str(path))
        return path

    return write


SecretFile = Callable[[str, bytes], Path]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_any_variable_may_stand_in_a_file(secret_file: SecretFile, end: bytes) -> None:
    given = {**KAITEN, "KAITEN_EMEA_API_URL": KAITEN["KAITEN_API_URL"], "KAITEN_EMEA_API_TOKEN": "canary ä", **HUBSPOT}
    url = "postgresql://u:canary@127.0.0.1/d"
    for name, value in {**given, "DATABASE_URL": url, "SYNC_BATCH_SIZE": "7"}.items():
        secret_file(name, value.encode() + end)
    found = environment()
    assert found.items() >= given.items() and not [
        name for name in found if name.startswith(("KAITEN", "DATABASE")) and name.endswith("_FILE")
    ]
    assert sorted(accounts(found)) == ["hubspot", "kaiten", "kaiten_emea"]
    settings = sync_settings(found)
    assert settings.database_url is not None and settings.database_url.get_secret_value() == url
    assert settings.sync_batch_size == 7


def test_a_variable_and_its_file_at_once_are_an_error_that_names_both(
    secret_file: SecretFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_file("HUBSPOT_ACCESS_TOKEN", b"canary-file")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "canary-hubspot")
    with pytest.raises(FixConfig, match="HUBSPOT_ACCESS_TOKEN and HUBSPOT_ACCESS_TOKEN_FILE are both set") as told:
        environment()
    assert "canary" not in str(told.value)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "")
    assert environment()["HUBSPOT_ACCESS_TOKEN"] == "canary-file"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"canary\xff", "cannot be read"), (b"canary" * 20_000, "is too large")],
)
def test_a_file_that_holds_no_secret_is_named_and_never_shown(
    secret_file: SecretFile, content: bytes, says: str
) -> None:
    secret_file("KOMMO_ACCESS_TOKEN", content)
    with pytest.raises(MissingSetting, match=says) as told:
        environment()
    assert "KOMMO_ACCESS_TOKEN_FILE" in str(told.value) and "canary" not in str(told.value)
    assert told.value.__cause__ is None and told.value.__context__ is None


@pytest.mark.parametrize("path", ["canary-the-secret-itself", "/no/canary", "/", "canary\n", "c" * 5000])
def test_a_path_that_leads_nowhere_may_be_the_secret_itself(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    monkeypatch.setenv("DATABASE_URL_FILE", path)
    with pytest.raises(MissingSetting, match="DATABASE_URL_FILE names cannot be read") as told:
        environment()
    assert path.strip() not in str(told.value).replace("/", "") or path == "/"


def test_files_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    for name in ("SSL_CERT_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "SYSTEMS_FILE"):
        monkeypatch.setenv(name, "/no/such/file")
    assert environment()["SSL_CERT_FILE"] == "/no/such/file"
    assert {system.name for system in SYSTEMS} <= set(SYSTEM_NAMES), "a system's variables begin with its folder's name"
