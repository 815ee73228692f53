"""Templates: texts with `[[ name ]]` or `[[ name | filter ]]` in them, and no language beyond that.

The brackets are square because Helm would take curly ones for its own. A template can ask for nothing but what consumers may have,
and cannot compute: there are no conditions, no loops, no attributes, and one filter at most.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

OPENING, CLOSING = "[[", "]]"
PLACEHOLDERS = ("access_token", "token_type", "expires_at", "scope", "user", "account")
FILTERS: Mapping[str, Callable[[str], str]] = {
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "json": json.dumps,
    "urlencode": lambda text: quote(text, safe=""),
}
"""b64enc: RFC 4648 section 4. json: a JSON string with its quotes. urlencode: all but unreserved characters (RFC 3986 section 2.3)."""
OUTPUT_LIMIT = 64 * 1024
_SHOWN = 40


class TemplateTooLong(ValueError):
    """What a template becomes is more than a key may hold."""


class _Piece(NamedTuple):
    """Text as it stands, then a placeholder with its filter, as they are written; all empty where there is none."""

    text: str
    expression: str = ""
    is_closed: bool = True


@lru_cache(maxsize=256)  # every look at a grant asks anew for templates that hardly ever change
def find_fault(template: str) -> str | None:
    """What is wrong with a template, as a sentence that says what is allowed; None where it can be filled."""
    return next((fault for piece in _split(template) if (fault := _judge(piece)) is not None), None)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced; it must be without fault, and `values` must have every placeholder.

    TemplateTooLong where more than 64 KiB would come of it.
    """
    filled: list[str] = []
    size = 0
    for piece in _split(template):
        for part in (piece.text, _replace(piece.expression, values) if piece.expression else ""):
            filled.append(part)
            size += len(part.encode())
        if size > OUTPUT_LIMIT:
            raise TemplateTooLong(f"one of its templates becomes longer than {OUTPUT_LIMIT // 1024} KiB")
    return "".join(filled)


def _split(template: str) -> Iterator[_Piece]:
    rest = template
    while rest:
        text, opening, rest = rest.partition(OPENING)
        if not opening:
            yield _Piece(text)
            return
        expression, closing, rest = rest.partition(CLOSING)
        yield _Piece(text, OPENING + expression + closing, is_closed=bool(closing))


def _judge(piece: _Piece) -> str | None:
    if not piece.expression:
        return None
    if not piece.is_closed:
        return f"{_cut(piece.expression)} is not closed; a placeholder ends with {CLOSING}"
    name, filters = _parse(piece.expression)
    if name not in PLACEHOLDERS:
        return f"{_cut(piece.expression)} names no placeholder; there are {', '.join(PLACEHOLDERS)}"
    if filters is not None and filters not in FILTERS:
        return f"{_cut(piece.expression)} names no filter; there are {', '.join(FILTERS)}, and a placeholder takes one"
    return None


def _replace(expression: str, values: Mapping[str, str]) -> str:
    name, filters = _parse(expression)
    return values[name] if filters is None else FILTERS[filters](values[name])


def _parse(expression: str) -> tuple[str, str | None]:
    name, separator, filters = expression.removeprefix(OPENING).removesuffix(CLOSING).partition("|")
    return name.strip(), filters.strip() if separator else None


def _cut(expression: str) -> str:
    line = " ".join(expression.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
