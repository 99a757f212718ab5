"""S7: text from data is no markup wherever Dagster shows it, and comes back as it was for who prints it elsewhere."""

import re
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_assets import shown
from sync_assets.check import Finding
from sync_assets.errors import FixData
from sync_assets.orchestration.checks import as_result
from sync_assets.orchestration.io_manager import failure

NASTY = (
    "![x](http://trap/a)", "<img src=https://trap/b>", "[y][z]", "[z]: http://trap/c", "www.trap.test", "a@trap.test",
    "mailto:a@trap.test", "xmpp:a@trap.test", "HTTP://TRAP/", "`code`", "# head", "1. one", "- item", "a|b\n-|-\n",
    "<script>alert(1)</script>", "&lt;b&gt;", "~~gone~~", "__bold__", "*em*", "\x00\u202e\ud800",
)  # fmt: skip
ADDRESS = re.compile(r"https?://|www\.|\S@\w|mailto:|xmpp:", re.IGNORECASE)


@pytest.mark.parametrize("text", NASTY)
def test_s7_no_markup_and_no_address_is_left_in_a_description(text: str) -> None:
    found = shown.described(text)
    assert not ADDRESS.search(found) and "\n" not in found
    assert not re.search(r"(?<!\\)[`*\[\]<>~&|]", found) and not re.match(r"\s*([#+=-]|\d+[.)])", found)


@given(st.text(max_size=200).filter(lambda text: shown.JOINER not in text))
@example("due_date of a_b")
def test_s7_who_prints_it_elsewhere_gets_the_words_back(text: str) -> None:
    line = "".join(c if c.isprintable() else " " for c in text)
    assert shown.said(shown.described(text)) == line
    assert shown.linkless(text).replace(shown.JOINER, "") == text


@pytest.mark.parametrize("words", ["1 in due_date", "29 records, 30 at the last sync", "links: 3 (owner_id -> users)"])
def test_plain_words_stay_as_they_are(words: str) -> None:
    assert shown.described(words) == words.replace(">", "\\>")


@pytest.mark.parametrize("text", NASTY)
def test_s7_a_checks_result_and_a_failure_bear_no_address(text: str) -> None:
    facts: dict[str, Any] = {"sample": [f"{text}: gone"], "values": {text: {text: 1}}, "query": text, "count": 1}
    result = as_result(dg.AssetKey(["kaiten", "cards"]), Finding("fresh", False, text, facts=facts))
    stated = [str(result.description), *(str(value.value) for value in result.metadata.values())]
    failed = failure(FixData("a record cannot be stored", record=text))
    stated += [str(failed.description), *(str(value.value) for value in failed.metadata.values())]
    assert not [words for words in stated if ADDRESS.search(words)]
    assert result.metadata["count"].value == 1
