"""Every sentence has its place in the catalogue, and every place there is used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from jinja2 import Environment

import grantkeeper.consent
from doors.house import House
from doors.situations import SITUATIONS
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.texts import Texts
from grantkeeper.consent.views import Notice

TEMPLATES = sorted((Path(grantkeeper.consent.__file__).parent / "templates").glob("*.html"))
SPOKEN = ("alt", "aria-label", "aria-description", "label", "placeholder", "title", "value")
"""Attributes whose value is read to people."""


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_by_itself(template: Path) -> None:
    tokens = list(Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).lex(template.read_text(encoding="utf-8")))
    markup = BeautifulSoup("".join(text if kind == "data" else " " for _, kind, text in tokens), "html.parser")
    assert not re.search(r"\w", markup.get_text()), "text between the tags"
    assert not [tag for tag in markup.find_all() for name in SPOKEN if re.search(r"\w", str(tag.get(name, "")))], "text in an attribute"
    assert not [text for _, kind, text in tokens if kind == "string" and " " in text.strip("\"' ") and "icon" not in text], (
        "a sentence in an expression"
    )


def test_a_template_that_speaks_would_be_found(tmp_path: Path) -> None:
    speaking = tmp_path / "speaking.html"
    speaking.write_text("<p>Hello {{ name }}</p>", encoding="utf-8")
    with pytest.raises(AssertionError):
        test_no_template_says_anything_by_itself(speaking)


@dataclass(frozen=True, slots=True)
class Remembering(Texts):
    """A catalogue that knows what it was asked for."""

    asked: set[str] = field(default_factory=set)

    def gettext(self, key: str) -> str:
        """Look up one sentence."""
        self.asked.add(key)
        return self.sentences[key]

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Look up one of two."""
        return self.gettext(one if number == 1 else many)


async def test_every_sentence_is_on_some_page() -> None:
    texts = Remembering("en", Texts.load("en").sentences)
    pages = Pages(texts)
    for situation in SITUATIONS:
        house = House(pages=pages)
        situation.arrange(house)
        async with house.browser() as browser:
            await browser.get(situation.path)
            await browser.post(situation.path, headers={"Sec-Fetch-Site": "same-origin"})
            await browser.post(situation.path, headers={"Sec-Fetch-Site": "cross-site"})
    pages.render(Notice.USED)
    of_time = {key for key in texts.sentences if key.startswith("time.")}
    assert texts.asked - of_time == texts.sentences.keys() - of_time


def test_a_key_that_is_not_there_is_never_shown() -> None:
    with pytest.raises(KeyError):
        Texts.load("en").gettext("question.nothing")


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(timedelta(days=6, hours=23), "6 days", id="days, rounded down"),
        pytest.param(timedelta(hours=47, minutes=59), "47 hours", id="under two days: hours"),
        pytest.param(timedelta(minutes=91), "1 hour", id="over an hour and a half"),
        pytest.param(timedelta(minutes=89), "89 minutes", id="under an hour and a half"),
        pytest.param(timedelta(seconds=3), "1 minute", id="never zero"),
        pytest.param(timedelta(days=2), "2 days", id="exactly two days"),
    ],
)
def test_how_long_something_still_lasts(span: timedelta, expected: str) -> None:
    assert Texts.load("en").remaining(span) == expected


def test_a_moment_names_its_zone() -> None:
    assert Texts.load("en").moment(datetime(2026, 3, 1, 7, 5, tzinfo=UTC)) == "1 March 2026, 07:05 UTC"
