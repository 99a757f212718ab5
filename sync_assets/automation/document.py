"""A YAML file as nodes that know their line, so that whatever is wrong with it is said with file and line.

Scalars are read as YAML 1.2 has them: `on:` is a word and `09:30` no number, unlike in YAML 1.1. Anchors, tags and
keys that come twice are refused: a rule says everything once, where it stands.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from sync_assets.errors import BadAutomation

LARGEST = 1 << 20
"""Bytes of a file that says what is to happen; a longer one is something else."""

DEEPEST = 40

WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
FRACTION = re.compile(r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})")
WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}

DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""What a rule or sequence is called in tables and commands."""


@dataclass(frozen=True)
class Node:
    """A value and where it stands; mappings hold nodes by name, lists hold nodes."""

    value: Any
    file: str
    line: int

    def wrong(self, what: str, *, line: int | None = None) -> BadAutomation:
        return BadAutomation(what, file=self.file, line=self.line if line is None else line)

    def plain(self) -> Any:
        """Without the lines: what JSON could hold."""
        match self.value:
            case dict():
                return {name: node.plain() for name, node in self.value.items()}
            case list():
                return [node.plain() for node in self.value]
            case _:
                return self.value

    def mapping(self, *, required: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, Node]:
        """Its nodes by name, with no other names than these. Raises BadAutomation, like all below."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"{_kind(self.value)} where a mapping belongs")
        known = [*required, *optional]
        for name, node in self.value.items():
            if name not in known:
                raise node.wrong(f"{_quoted(name)} is not known here{_instead(name, known)}")
        if missing := [name for name in required if name not in self.value]:
            raise self.wrong(f"{missing[0]} is missing")
        return dict(self.value)

    def items(self) -> list[Node]:
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong(f"{_kind(self.value)} where a list belongs")
        return list(self.value)

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong(f"{_kind(self.value)} where a text belongs")
        return self.value

    def key(self) -> str:
        if not KEY.fullmatch(text := self.text()):
            raise self.wrong("a key is made of a-z, 0-9 and _, and begins with a letter")
        return text

    def whole(self, *, least: int = 0) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < least:
            raise self.wrong(f"{_kind(self.value)} where a whole number of at least {least} belongs")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong(f"{_kind(self.value)} where true or false belongs")
        return self.value

    def one_of(self, words: Sequence[str]) -> str:
        if not isinstance(self.value, str) or self.value not in words:
            said = _quoted(self.value) if isinstance(self.value, str) else _kind(self.value)
            raise self.wrong(f"{said} is none of {', '.join(words)}{_instead(self.value, words)}")
        return self.value

    def duration(self) -> timedelta:
        """30s, 15m, 24h, 7d or 2w."""
        match = DURATION.fullmatch(self.value) if isinstance(self.value, str) else None
        if match is None:
            raise self.wrong("a time span is a whole number with s, m, h, d or w: 30m, 24h, 7d")
        return timedelta(**{UNITS[match[2]]: int(match[1])})

    def hash(self) -> str:
        """The same for the same content, whatever its order of names, comments and spelling."""
        content = json.dumps(self.plain(), sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def documents(folder: Path) -> Iterator[Node | BadAutomation]:
    """Each of the folder's *.yaml files, by name, or what is wrong with it; none where there is no folder."""
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else []:
        try:
            yield document(path)
        except BadAutomation as e:
            yield e


def document(path: Path) -> Node:
    """Raises BadAutomation for a file that is no single YAML document of plain values."""
    file = str(path)
    try:
        if path.stat().st_size > LARGEST:
            raise BadAutomation(f"it is larger than {LARGEST} bytes", file=file)
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else None
        raise BadAutomation(f"it is not YAML: {e.problem}", file=file, line=line) from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as e:
        raise BadAutomation(f"it cannot be read ({type(e).__name__})", file=file) from None
    if root is None:
        raise BadAutomation("it is empty", file=file, line=1)
    return _node(root, file, set(), 0)


def _node(node: yaml.Node, file: str, met: set[int], depth: int) -> Node:
    line = node.start_mark.line + 1
    if id(node) in met:
        raise BadAutomation("anchors are not understood here; write it out", file=file, line=line)
    met.add(id(node))
    if depth > DEEPEST:
        raise BadAutomation("it is nested too deeply", file=file, line=line)
    if isinstance(node, yaml.ScalarNode):
        return Node(_scalar(node, file), file, line)
    if isinstance(node, yaml.SequenceNode):
        return Node([_node(item, file, met, depth + 1) for item in node.value], file, line)
    found: dict[str, Node] = {}
    for name, value in node.value:
        at = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise BadAutomation("a name must be a word", file=file, line=at)
        if name.value in found:
            raise BadAutomation(f"{_quoted(name.value)} comes twice", file=file, line=at)
        inner = _node(value, file, met, depth + 1)
        # What is wrong with a value is looked for at its name.
        found[name.value] = Node(inner.value, file, at) if isinstance(value, yaml.ScalarNode) else inner
    return Node(found, file, line)


def _scalar(node: yaml.ScalarNode, file: str) -> Any:
    if node.tag.startswith("!") or node.tag.startswith("tag:yaml.org,2002:python"):
        raise BadAutomation("tags are not understood here", file=file, line=node.start_mark.line + 1)
    text = str(node.value)
    if node.style is not None:
        return text
    if text in WORDS:
        return WORDS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if FRACTION.fullmatch(text) else text


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a mapping"


def _quoted(word: str) -> str:
    return repr(word[:60])


def _instead(word: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"; did you mean {near[0]}" if near else ""
