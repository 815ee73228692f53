"""Read what a server calls a JSON object, or a form, without trusting that it is one.

Real servers send a byte order mark, a form where JSON was asked for, a wrong content type, and Python's NaN; attackers send
nesting, numbers of many digits, and members that say two things. The content type is not asked, because it is wrong too
often, and a damaged letter does no harm, because everything that is read from these documents is ASCII.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

_FORM = re.compile(r"[\w.~-]{1,64}=[^\s<>{}]*", re.ASCII)
_FORM_FIELDS = 64
_DIGITS = 32


class Unreadable(ValueError):
    """The bytes are no such document; the message never repeats any of them."""


def read_object(body: bytes) -> dict[str, object]:
    """The members of a JSON object (RFC 8259); Unreadable where there is none."""
    try:
        document = json.loads(_text(body), object_pairs_hook=_members, parse_int=_integer, parse_constant=lambda _: None)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable("not JSON, or nested too deeply") from None
    if not isinstance(document, dict):
        raise Unreadable("JSON, but not an object")
    return document


def read_object_or_form(body: bytes) -> dict[str, object]:
    """The members of a JSON object, or else the fields of an application/x-www-form-urlencoded body."""
    text = _text(body).strip()
    if not _FORM.fullmatch(text):
        return read_object(body)
    try:
        return _members(parse_qsl(text, keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except Unreadable:
        raise
    except ValueError:
        raise Unreadable("a form of too many fields") from None


def _text(body: bytes) -> str:
    return body.decode(json.detect_encoding(body), errors="replace")


def _integer(digits: str) -> int | float:
    """A number too long to mean anything becomes infinite, where reading it would be refused by Python."""
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _members(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """RFC 6749 allows no parameter twice. Said twice alike it does no harm; two values leave no way to tell which holds."""
    members: dict[str, object] = {}
    for name, value in pairs:
        if members.setdefault(name, value) != value:
            raise Unreadable("a member with two values")
    return members
