"""The workload of the example without its Pod: it reads the token's files anew each time, and keeps no more than a fingerprint."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from demo.report import Sight
from parts.mounted import DATA


class Consumer:
    """Reads `access_token` and `expires_at` below `directory`, which is kept as kubelet keeps a Secret's volume."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.sights: list[Sight] = []

    @property
    def last(self) -> Sight | None:
        """The token that it works with now."""
        return self.sights[-1] if self.sights else None

    def look(self) -> tuple[Sight, SecretStr] | None:
        """Return the token that is there when it is another than before, so that the server can be asked about it."""
        now = datetime.now(UTC)
        files = (self._directory / DATA).resolve()  # once, so that both files are of one moment
        try:
            token, expires_at = (files / "access_token").read_text(), (files / "expires_at").read_text()
        except FileNotFoundError:
            return None
        fingerprint = hashlib.sha256(token.encode()).hexdigest()
        if self.last and self.last.token == fingerprint:
            return None
        self.sights.append(Sight(time=now, token=fingerprint, expires_at=datetime.fromisoformat(expires_at)))
        return self.sights[-1], SecretStr(token)
