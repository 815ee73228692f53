"""Moments on the wire: RFC 3339 in the Kubernetes API, whole seconds in a sealed payload, aware datetimes in between."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)  # the same few moments are written several times in every pass
def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC, in whole seconds: 2026-11-21T06:30:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """Read RFC 3339; ValueError where it is not, or names no time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def to_seconds(moment: datetime | None) -> int | None:
    """Whole seconds since the epoch."""
    return None if moment is None else int(moment.timestamp())


def from_seconds(value: object) -> object:
    """Read whole seconds since the epoch; anything else is left for validation to judge."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else value
