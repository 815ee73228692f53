"""Look for secrets in whatever was written, in every spelling in which they might have got there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Bytes below which a spelling would be found by accident."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Something that was written, where it was found, and the kinds of secrets that belong there."""

    place: str
    text: bytes
    may_hold: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret where it does not belong. It is told by its kind and line, so that no report holds it."""

    kind: str
    spelling: str
    place: str
    line: int


def search(exhibits: Iterable[Exhibit], secrets: Mapping[str, str]) -> list[Leak]:
    """Every secret (by its value, with its kind) that an exhibit holds and may not, once for each spelling."""
    needles = [(kind, name, needle) for secret, kind in secrets.items() for name, needle in spell(secret)]
    return [
        Leak(kind, name, exhibit.place, exhibit.text.count(b"\n", 0, exhibit.text.index(needle)) + 1)
        for exhibit in exhibits
        for kind, name, needle in needles
        if kind not in exhibit.may_hold and needle in exhibit.text
    ]


def spell(secret: str) -> Iterator[tuple[str, bytes]]:
    """The spellings of a secret, each once, with its name."""
    seen: set[bytes] = set()
    for name, needle in _spell(secret):
        if len(needle) >= SHORTEST and needle not in seen:
            seen.add(needle)
            yield name, needle


def _spell(secret: str) -> Iterator[tuple[str, bytes]]:
    written = json.dumps(secret)[1:-1]
    yield "as JSON", written.encode()
    yield "as JSON, slashes escaped", written.replace("/", "\\/").encode()
    # Basic authentication encodes in base64 what was form-urlencoded before (RFC 6749 section 2.3.1).
    for way, text in (("raw", secret), ("as part of a URL", quote(secret, safe="")), ("as part of a form", quote_plus(secret))):
        yield way, text.encode()
        yield f"{way}, escapes in lower case", _lower_escapes(text).encode()
        yield f"{way}, in hex", text.encode().hex().encode()
        yield f"{way}, in upper-case hex", text.encode().hex().upper().encode()
        for before in range(3):
            yield f"{way}, in base64 after {before} bytes", _encoded(text.encode(), before)
            yield f"{way}, in base64url after {before} bytes", _encoded(text.encode(), before).translate(bytes.maketrans(b"+/", b"-_"))


def _lower_escapes(text: str) -> str:
    first, *rest = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _encoded(secret: bytes, before: int) -> bytes:
    """The characters of base64 that depend on the secret alone where so many bytes, modulo three, stand before it."""
    whole = base64.b64encode(bytes(before) + secret).rstrip(b"=")
    is_cut = (before + len(secret)) % 3 != 0
    return whole[(0, 2, 3)[before] : len(whole) - is_cut]
