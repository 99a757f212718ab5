"""Text that comes from data, as Dagster may show it: its UI renders descriptions as Markdown, and addresses as links.

Promise: what a record says shows as the characters it is made of; it is no image, link or markup, so no page asks
anybody for anything and nobody is led anywhere. `said` gives the words back to those who print them elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

JOINER = "\u2060"
"""Invisible, of no width, and no part of an address: what stands around it is none."""

ADDRESS = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=\.)|(?<=\S@)(?=\S)|(?<=mailto)(?=:)|(?<=xmpp)(?=:)", re.IGNORECASE)
"""Where one would begin: before the colon and after the at sign. Escaping alone does not help: addresses are looked for
before escapes are resolved, and afterwards once more."""

MARKUP = re.compile(r"[\\`*\[\]<>~&|]|(?<![^\W_])_|_(?![^\W_])")
AT_START = re.compile(r"^(\s*)(#|[-+=]|\d+(?=[.)]))")

LONGEST = 4000


def described(text: str) -> str:
    """For a description: on one line, nothing of it markup."""
    line = "".join(c if c.isprintable() else " " for c in text[:LONGEST])
    escaped = MARKUP.sub(lambda m: f"\\{m.group()}", line)
    return linkless(AT_START.sub(lambda m: f"{m.group(1)}{JOINER}{m.group(2)}", escaped))


def linkless(text: str) -> str:
    """For metadata, which is shown as it is but for addresses that become links."""
    return ADDRESS.sub(JOINER, text)


def said(description: str) -> str:
    """The words of a description that `described` made."""
    return re.sub(r"\\(.)", r"\1", description.replace(JOINER, ""))


def metadata(value: Any) -> Any:
    """A value for Dagster's metadata with all text in it `linkless`; numbers and Dagster's own values as they are."""
    if isinstance(value, str):
        return linkless(value)
    if isinstance(value, Mapping):
        return {linkless(str(name)): metadata(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [metadata(inner) for inner in value]
    return value
