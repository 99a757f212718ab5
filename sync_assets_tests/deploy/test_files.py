"""The files of deploy/ fit the product: commands, variables, paths, versions. What cannot run here is at least true."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from sync_assets.cli import app
from sync_assets.settings import FROM_FILE
from sync_assets_tests.deploy.commands import (
    DEPLOY,
    PROJECT,
    UNITS,
    Process,
    compose,
    health_checks,
    manifests,
    of_compose,
    of_dockerfile,
    of_helm,
    of_systemd,
    of_workflow,
    option,
)

PROCESSES = [*of_compose(), *of_systemd(), *of_helm(), *of_workflow(), *of_dockerfile(), *health_checks()]
PROGRAMS: dict[str, Callable[[], Any]] = {
    "sync-assets": lambda: get_command(app),
    # Imported when they are looked at: the web server alone takes every process that collects the tests a second.
    "dagster": lambda: import_module("dagster._cli").create_dagster_cli(),
    "dagster-daemon": lambda: import_module("dagster._daemon.cli").create_dagster_daemon_cli(),
    "dagster-webserver": lambda: import_module("dagster_webserver.cli").create_dagster_webserver_cli(),
}
OTHERS = {
    "DAGSTER_HOME", "DAGSTER_GRPC_MAX_WORKERS", "DAGSTER_CODE_HOST", "DAGSTER_CODE_PORT", "SYNC_ASSETS_ENV_FILE",
    "MPLCONFIGDIR", "PYTHONUNBUFFERED", "JOB",
}  # fmt: skip
"""Variables that are no settings of ours."""

SECRETS = re.compile(r"TOKEN|HASH|SECRET|PASSWORD|DATABASE_URL|WEBHOOK_URL")


def known_variables() -> set[str]:
    example = (PROJECT / ".env.example").read_text()
    return set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", example, re.MULTILINE))


RUN = [process for process in PROCESSES if process.words]


@pytest.mark.parametrize("process", RUN, ids=lambda p: f"{p.where}: {' '.join(p.words[:3])}")
def test_every_command_is_one_that_is_installed_and_takes_its_words(process: Process) -> None:
    words = [re.sub(r"^(/app|/opt/sync_assets)/", f"{PROJECT}/", word) for word in process.words]
    name = Path(words[0]).name
    if name == "python":
        compile(words[2], process.where, "exec")
        return
    if name == "pg_isready":
        return  # of the image of Postgres
    if name == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=PROJECT, capture_output=True, check=False)
        assert done.returncode == 0
        return
    assert Path(sys.executable).with_name(name).is_file(), "an entry point of the lock"
    command, rest = PROGRAMS[name](), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(name, rest)  # as the command itself reads its words; nothing is run


@pytest.mark.parametrize("process", [p for p in PROCESSES if p.env], ids=lambda p: p.where)
def test_every_variable_is_a_setting_and_every_secret_a_file(process: Process) -> None:
    known = known_variables()
    assert not [n for n in process.env if n not in OTHERS and n.removesuffix(FROM_FILE) not in known]
    for name, value in process.env.items():
        if SECRETS.search(name) and name not in OTHERS:
            assert name.endswith(FROM_FILE) or value.startswith("${{ secrets."), f"{name} would be in clear"


def test_the_code_server_has_a_thread_for_each_sensor_that_watches() -> None:
    servers = [p for p in PROCESSES if p.words[1:3] == ["api", "grpc"] and p.env]
    assert len(servers) == 3 and all(p.env["DAGSTER_GRPC_MAX_WORKERS"] == "32" for p in servers)


def test_only_the_migration_has_the_owner_and_only_the_receiver_the_receiver() -> None:
    for process in [p for p in PROCESSES if "DATABASE_URL_FILE" in p.env]:
        kind = (
            "owner"
            if {"migrate", "roles"} & set(process.words)
            else "receiver"
            if "receive" in process.words
            else "writer"
        )
        if process.where.endswith(".service"):
            (loaded,) = (c for c in option(UNITS / process.where, "LoadCredential") if c.startswith("database_url:"))
            assert loaded == f"database_url:/etc/sync_assets/credentials/{kind}_database_url"
        else:
            assert kind in process.env["DATABASE_URL_FILE"]


def test_compose_is_what_its_schema_allows_and_so_is_the_workflow() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    for schema, file in (("vendor.compose-spec", "compose.yaml"), ("vendor.github-workflows", "ci/sync.yaml")):
        words = [checker, "--builtin-schema", schema, DEPLOY / file]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_compose_mounts_what_it_names_publishes_on_loopback_and_has_one_daemon() -> None:
    whole = compose()
    used = {secret for service in whole["services"].values() for secret in service.get("secrets", ())}
    assert used == set(whole["secrets"])
    assert all(s == {"file": f"secrets/{name}"} for name, s in whole["secrets"].items())
    for name, service in whole["services"].items():
        files = [v for n, v in service.get("environment", {}).items() if n.endswith(FROM_FILE)]
        assert {v.removeprefix("/run/secrets/") for v in files} <= set(service["secrets"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert name in ("migrate", "roles") or (service["restart"] == "unless-stopped" and "healthcheck" in service)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in whole["volumes"] or (DEPLOY / source).is_file()
    assert len([s for s in whole["services"].values() if "dagster-daemon" in s.get("command", ())]) == 1
    assert "replicas" not in str(whole)
    for name in ("code", "receiver"):
        assert whole["services"][name]["depends_on"]["roles"] == {"condition": "service_completed_successfully"}


def test_the_image_copies_what_is_there_and_leaves_secrets_out() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    copied = [w for words in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for w in words.split()]
    assert copied and not [path for path in copied if not (PROJECT / path).exists()]
    allowed = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed, "the context holds what is copied and nothing else"
    assert re.search(r"^USER 10001:10001$", last, re.M) and "HEALTHCHECK" in last and "uv" not in last.split()
    for line in (PROJECT / "Makefile").read_text().splitlines():
        if line.startswith("UV_VERSION := "):
            assert f"uv:{line.removeprefix('UV_VERSION := ')} " in text
    assert (PROJECT / "deploy" / "workspace.yaml").is_file()


def test_what_is_read_at_run_time_is_in_the_image() -> None:
    copied = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    for path in ("sync_assets", "sql", "automation", "dagster.yaml", "deploy/workspace.yaml"):
        assert re.search(rf"^COPY .*\b{path}\b", copied, re.M), path


def test_the_chart_is_of_the_librarys_version_and_every_image_the_same() -> None:
    text = (DEPLOY / "helm" / "values.yaml").read_text()
    assert re.findall(r"--version (\S+)", text) == [metadata.version("dagster")]
    values = yaml.safe_load(text)
    image = values["dagsterWebserver"]["image"]
    named = {f"{image['repository']}:{image['tag']}"}
    pods = [document["spec"]["template"]["spec"] for document in manifests() if document["kind"] != "Service"]
    assert {c["image"] for pod in pods for c in pod["containers"]} == named
    (server,) = values["dagsterWebserver"]["workspace"]["servers"]
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert (server["host"], server["port"]) == (code["name"], code["port"])
    location = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert server["name"] == location["location_name"] == "sync_assets.definitions"


def test_every_mount_of_a_pod_has_its_volume() -> None:
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    pods = [values["dagsterWebserver"], values["dagsterDaemon"], *values["dagster-user-deployments"]["deployments"]]
    for document in manifests():
        if document["kind"] != "Service":
            pod = document["spec"]["template"]["spec"]
            claims = [{"name": c["metadata"]["name"]} for c in document["spec"].get("volumeClaimTemplates", ())]
            pods.append({**pod["containers"][0], "volumes": [*pod["volumes"], *claims]})
    for pod in pods:
        assert {m["name"] for m in pod["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        folders = [m["mountPath"] for m in pod["volumeMounts"]]
        files = [e["value"] for e in pod["env"] if e["name"].endswith((FROM_FILE, "_FOLDER"))]
        assert files and all(any(f.startswith(folder) for folder in folders) for f in files)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    shutil.copytree(UNITS, tmp_path / "units")
    for path in chain((tmp_path / "units").rglob("*.service"), (tmp_path / "units").rglob("*.conf")):
        path.write_text(path.read_text().replace("/opt/sync_assets/.venv", str(Path(sys.executable).parents[1])))
    units = sorted(str(path) for path in (tmp_path / "units").glob("*.*") if path.suffix in (".service", ".target"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path / 'units'}:", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done.stderr


def test_every_unit_of_the_target_is_there_and_each_credential_is_read() -> None:
    wanted = option(UNITS / "sync-assets.target", "Wants")[0].split()
    assert {path.name for path in UNITS.glob("*.service")} - set(wanted) == {"sync-assets-migrate.service"}
    for path in UNITS.glob("*.service"):
        drop_ins = sorted((UNITS / f"{path.name}.d").glob("*"))
        loaded = {c.partition(":")[0] for part in (path, *drop_ins) for c in option(part, "LoadCredential")}
        texts = [text for part in (path, *drop_ins) for text in option(part, "Environment")]
        assert loaded == {text.partition("=%d/")[2] for text in texts if "%d" in text}, path.name


def test_what_stays_where_nobody_else_reaches_is_never_bound_elsewhere() -> None:
    for process in of_systemd():
        assert "0.0.0.0" not in process.words  # noqa: S104
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    assert values["dagsterWebserver"]["service"]["type"] == "ClusterIP"
