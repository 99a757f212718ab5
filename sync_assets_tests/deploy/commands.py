"""What the files of deploy/ run and set, read from the files themselves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
UNITS = DEPLOY / "systemd"

Variables = dict[str, str]


class Process(NamedTuple):
    where: str
    words: list[str]
    env: Variables


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def of_compose() -> list[Process]:
    """Our services, in the file's order."""
    services = {name: s for name, s in compose()["services"].items() if s["image"] == "sync_assets"}
    return [Process(name, [str(w) for w in s["command"]], s.get("environment", {})) for name, s in services.items()]


def health_checks() -> list[Process]:
    services = compose()["services"]
    checks = {name: [str(w) for w in s["healthcheck"]["test"]] for name, s in services.items() if "healthcheck" in s}
    assert all(words[0] == "CMD" for words in checks.values())
    return [Process(f"{name}'s health", words[1:], {}) for name, words in checks.items()]


def of_systemd() -> list[Process]:
    return [
        Process(path.name, shlex.split(option(path, "ExecStart")[0]), assignments(path))
        for path in sorted(UNITS.glob("*.service"))
    ]


def of_helm() -> list[Process]:
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    (code,) = values["dagster-user-deployments"]["deployments"]
    grpc = ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", str(code["port"]), *code["dagsterApiGrpcArgs"]]  # noqa: S104
    found = [Process("values.yaml code", grpc, _named(code["env"]))]
    dagster = ("dagsterWebserver", "dagsterDaemon")
    found += [Process(f"values.yaml {name}", [], _named(values[name]["env"])) for name in dagster]
    pods = [document["spec"]["template"]["spec"] for document in manifests() if document["kind"] != "Service"]
    return found + [Process(c["name"], c["command"], _named(c["env"])) for pod in pods for c in pod["containers"]]


def of_workflow() -> list[Process]:
    workflow = yaml.safe_load((DEPLOY / "ci" / "sync.yaml").read_text())
    job = workflow["jobs"]["sync"]
    runs = [shlex.split(step["run"].partition(">")[0]) for step in job["steps"] if "run" in step]
    return [Process("sync.yaml", words, job["env"]) for words in runs]


def of_dockerfile() -> list[Process]:
    text = (DEPLOY / "Dockerfile").read_text()
    found = [yaml.safe_load(words) for words in re.findall(r"CMD (\[.*\])$", text, re.MULTILINE)]
    return [Process("Dockerfile", words, {}) for words in found]


def manifests() -> list[dict[str, Any]]:
    paths = (DEPLOY / "helm" / "migrate.yaml", DEPLOY / "helm" / "receiver.yaml")
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def option(path: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", path.read_text(), re.MULTILINE)


def assignments(unit: Path) -> Variables:
    """The variables of a unit and of its drop-ins."""
    parts = [UNITS / "sync-assets-.service.d" / "10-common.conf", unit, *sorted((UNITS / f"{unit.name}.d").glob("*"))]
    return dict(text.split("=", 1) for part in parts for text in option(part, "Environment"))


def _named(env: list[dict[str, str]]) -> Variables:
    return {entry["name"]: entry["value"] for entry in env}
