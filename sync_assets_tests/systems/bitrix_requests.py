"""What a sandbox's Bitrix was asked for, command by command."""

import json
import re
from urllib.parse import unquote_plus

from sync_assets.sandbox.server import Sandbox


def mark(sandbox: Sandbox) -> int:
    """How many requests there were so far."""
    return len(sandbox.requests)


def batches(sandbox: Sandbox, since: int = 0) -> list[list[str]]:
    """The commands of each batch, as a person would write them."""
    bodies = (r.body for r in sandbox.requests[since:] if r.system == "bitrix" and r.path.endswith("/batch"))
    return [[unquote_plus(command) for command in json.loads(body)["cmd"].values()] for body in bodies]


def commands(sandbox: Sandbox, method: str, since: int = 0) -> list[str]:
    return [c for batch in batches(sandbox, since) for c in batch if c.partition("?")[0] == method]


def asked_for(sandbox: Sandbox, method: str, field: str, since: int = 0) -> list[int]:
    """The numbers in `field` of a method's commands."""
    found = (re.search(rf"{re.escape(field)}=(\d+)", c) for c in commands(sandbox, method, since))
    return [int(match[1]) for match in found if match]
