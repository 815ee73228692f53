"""What a token endpoint must remember: which refresh tokens were presented, when each answer left, and what came twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from bench.tokens import Turn, access_token, read_refresh_token, refresh_token


class Entry(NamedTuple):
    """One presentation: the set whose refresh token it was, and when its answer was sent, in seconds of the host's monotonic clock."""

    grant: int
    number: int
    answered_at: float

    @property
    def brought(self) -> Turn:
        """The set that the answer held."""
        return Turn(self.grant, self.number).following


@dataclass(slots=True)
class Ledger:
    """Rotating refresh tokens, each good once. `lifetime` is that of the access tokens, in seconds."""

    lifetime: int = 3600
    entries: list[Entry] = field(default_factory=list)
    twice: list[Turn] = field(default_factory=list)
    """Sets whose refresh token was presented although it was spent."""
    _spent: set[Turn] = field(default_factory=set)

    def answer(self, form: str) -> tuple[int, dict[str, Any], Turn | None]:
        """Status and body for a token request; with the turn that was spent, for `note_sent`."""
        fields = {name: values[0] for name, values in parse_qs(form).items()}
        try:
            turn = read_refresh_token(fields["refresh_token"] if fields.get("grant_type") == "refresh_token" else "")
        except (KeyError, ValueError):
            return 400, {"error": "invalid_request"}, None
        if turn in self._spent:
            self.twice.append(turn)
            return 400, {"error": "invalid_grant"}, None
        self._spent.add(turn)
        held = turn.following
        body = {"access_token": access_token(held), "refresh_token": refresh_token(held), "token_type": "Bearer"}
        return 200, {**body, "expires_in": self.lifetime, "scope": "calendar.read"}, turn

    def note_sent(self, turn: Turn, at: float) -> None:
        """The answer to a presentation has left."""
        self.entries.append(Entry(turn.grant, turn.number, at))

    def dump(self, since: int) -> bytes:
        """The entries after the first `since`, and how often a spent token came, as JSON."""
        return json.dumps({"entries": self.entries[since:], "twice": len(self.twice)}).encode()
