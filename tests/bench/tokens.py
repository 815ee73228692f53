"""The tokens of the bench: each says whose it is and which one, so that the ledger and the watch can be laid side by side."""

from __future__ import annotations

import re
from typing import NamedTuple

_ACCESS, _REFRESH = "at", "rt"
_ACCESS_LENGTH, _REFRESH_LENGTH = 900, 60
"""As long as a signed access token and an opaque refresh token usually are."""
_FORM = re.compile(r"(at|rt)-([0-9]+)-([0-9]+)-x*")


class Turn(NamedTuple):
    """Which set of which grant a token belongs to."""

    grant: int
    number: int

    @property
    def following(self) -> Turn:
        """The set that a refresh brings."""
        return Turn(self.grant, self.number + 1)


def access_token(turn: Turn) -> str:
    """The access token of a set."""
    return f"{_ACCESS}-{turn.grant}-{turn.number}-".ljust(_ACCESS_LENGTH, "x")


def refresh_token(turn: Turn) -> str:
    """The refresh token of a set."""
    return f"{_REFRESH}-{turn.grant}-{turn.number}-".ljust(_REFRESH_LENGTH, "x")


def read_access_token(text: str) -> Turn:
    """Whose access token it is; ValueError where it is none of ours."""
    return _read(_ACCESS, text)


def read_refresh_token(text: str) -> Turn:
    """Whose refresh token it is; ValueError where it is none of ours."""
    return _read(_REFRESH, text)


def _read(kind: str, text: str) -> Turn:
    found = _FORM.fullmatch(text)
    if found is None or found[1] != kind:
        raise ValueError("none of the bench's tokens")
    return Turn(int(found[2]), int(found[3]))
