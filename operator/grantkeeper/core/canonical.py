"""RFC 8785, the JSON Canonicalization Scheme, as far as it is needed: objects of strings, nested.

Numbers are what makes the scheme hard (section 3.2.2.3), and nothing that is hashed here holds one; so they are refused rather than
written nearly right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

Canonical: TypeAlias = "str | Mapping[str, Canonical]"


def canonical_json(value: Canonical) -> bytes:
    """The one spelling of `value` (RFC 8785 section 3.2); TypeError where it holds anything but strings and objects of them."""
    return _write(value).encode()


def _write(value: Canonical) -> str:
    match value:
        case str():
            # json escapes exactly what section 3.2.2.2 escapes, with the same short forms and in lower case.
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            members = sorted(value.items(), key=lambda member: _utf16(member[0]))
            return "{" + ",".join(f"{_write(name)}:{_write(held)}" for name, held in members) + "}"
        case _:
            raise TypeError(f"only strings and objects are written canonically here, not {type(value).__name__}")


def _utf16(name: str) -> bytes:
    """Big-endian UTF-16 sorts by code units, as section 3.2.3 asks; Python's own order is by code points."""
    return name.encode("utf-16-be")
