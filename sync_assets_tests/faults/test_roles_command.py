"""S8: the command that makes, shows and checks the roles; doctor, which says as whom we are connected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets.errors import FixConfig
from sync_assets.load import roles
from sync_assets_tests.company import Company
from sync_assets_tests.faults.guarded import LOGINS, PREFIX, Guarded
from sync_assets_tests.receiving import receiving
from sync_assets_tests.systems.deliveries import SECRETS
from sync_assets_tests.test_cli import Ask, ask, findings

__all__ = ["ask"]

NAMES = [f"{PREFIX}_{kind}" for kind in roles.KINDS]


def test_s8_the_command_shows_makes_and_checks(guarded: Guarded, ask: Ask) -> None:
    writer, admin = guarded.as_("writer"), {"SYNC_OWNER_DATABASE_URL": guarded.admin}
    shown = ask(writer, "roles")
    assert shown.exit_code == 0 and all(name in shown.output for name in [*NAMES, *LOGINS])
    again = ask(writer, "roles", "--create", **admin)
    assert again.exit_code == 0 and "have their rights to" in again.output
    assert ask(writer, "roles", "--check", **admin).output.endswith("each may do what it must, and no more\n")
    refused = ask(writer, "roles", "--create")
    assert refused.exit_code == 1 and "may make roles (SYNC_OWNER_DATABASE_URL, or --sql)" in str(refused.exception)
    guarded.ask(guarded.root, "grant select on kaiten.users to s8_reader")
    wrong = ask(writer, "roles", "--check", **admin)
    assert wrong.exit_code == 1 and "s8_reader sees kaiten.users.email" in wrong.output
    assert ask(writer, "migrate", SYNC_OWNER_DATABASE_URL=guarded.urls["owner"]).exit_code == 0
    assert guarded.wrong() == [], "a migration mends it"
    assert ask(writer, "roles", "--check", "--create").exit_code == 2


def test_s8_without_roles_all_is_as_before(ask: Ask, company: Company) -> None:
    assert "there are no roles" in ask(company, "roles").output
    none = ask(company, "roles", "--check")
    assert none.exit_code == 1 and "run sync-assets roles --create" in str(none.exception)
    assert ask(company, "migrate").output == "the database is up to date\n"
    assert ["role", "note"] in [row[:2] for row in findings(ask(company, "doctor"))]


def test_s8_what_is_printed_is_what_is_run(guarded: Guarded, ask: Ask) -> None:
    printed = ask(None, "roles", "--sql", "--prefix", PREFIX)
    assert printed.output == roles.script(PREFIX) + "\n"
    guarded.ask(guarded.admin, printed.output)
    assert guarded.wrong() == []


@pytest.mark.parametrize("prefix", ["a b", "x'; drop table y; --", "pg_x", "", "A", "x" * 60, "1a"])
def test_s8_a_prefix_is_a_plain_name(prefix: str) -> None:
    with pytest.raises(FixConfig, match="the prefix is no plain name"):
        roles.script(prefix)


def test_s8_doctor_says_as_whom_we_are_connected_and_whether_the_receiver_may_too_much(
    guarded: Guarded, ask: Ask, tmp_path: Path
) -> None:
    def said(who: Company, what: str) -> list[list[str]]:
        return [row for row in findings(ask(who, "doctor")) if row[0] == what]

    writer = guarded.as_("writer")
    with receiving(guarded.as_("receiver", **SECRETS), tmp_path):
        (role,), (receiver,) = said(writer, "role"), said(writer, "receiver")
    assert role[1:3] == ["ok", "connected as s8_writer_login: writer"]
    assert receiver[1:3] == ["ok", "it works as s8_receiver_login, who may only put webhooks into the inbox"]
    too_much: list[tuple[Callable[[], Company], str]] = [
        (lambda: guarded.as_("writer", **SECRETS), "s8_writer_login"),
        (lambda: Company(guarded.company.sandbox, {**guarded.company.env, **SECRETS}), "s8_admin"),
    ]
    for number, (make, name) in enumerate(too_much):
        with receiving(make(), tmp_path / str(number)):
            ((_, state, finding, advice),) = said(writer, "receiver")
        assert state == "bad" and name in finding and "a member of the receiver alone" in advice
    (role,) = said(guarded.as_("owner"), "role")
    assert role[1] == "note" and "owner" in role[2]
