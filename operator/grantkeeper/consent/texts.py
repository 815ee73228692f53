"""Every sentence that a page says, by its key, in one language.

The two lookups have the shape of gettext, and `%(name)s` placeholders are filled (and escaped) by Jinja's i18n extension, so
another source of translations can stand in their place without a change to a template.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

_HOURS = timedelta(hours=48)
_MINUTES = timedelta(minutes=90)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; `language` is its BCP 47 tag. An unknown key is a KeyError: a page never shows a key."""

    language: str
    sentences: Mapping[str, str]

    @classmethod
    def load(cls, language: str) -> Self:
        """Read a language's catalogue."""
        path = Path(__file__).parent / "locale" / language / "pages.toml"
        return cls(language, dict(_flatten(tomllib.loads(path.read_text(encoding="utf-8")))))

    def gettext(self, key: str) -> str:
        """The sentence with this key."""
        return self.sentences[key]

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The sentence for this number."""
        return self.sentences[one if number == 1 else many]

    def moment(self, at: datetime) -> str:
        """A point in time as people write it, in UTC, which it names."""
        utc = at.astimezone(UTC)
        return self.sentences["time.moment"] % {
            "year": utc.year, "month": self.sentences[f"time.month.{utc.month}"], "day": utc.day, "hour": utc.hour, "minute": utc.minute,
        }  # fmt: skip

    def remaining(self, span: timedelta) -> str:
        """How long something still lasts, in the largest unit that says enough, rounded down."""
        if span >= _HOURS:
            return self._count("day", span // timedelta(days=1))
        if span >= _MINUTES:
            return self._count("hour", span // timedelta(hours=1))
        return self._count("minute", max(span // timedelta(minutes=1), 1))

    def _count(self, unit: str, number: int) -> str:
        return self.ngettext(f"time.{unit}", f"time.{unit}s", number) % {"num": number}


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, str):
            yield prefix + name, value
        else:
            yield from _flatten(value, f"{prefix}{name}.")
