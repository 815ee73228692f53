"""Versions of one object: they rise with every write of the whole cluster, and fall only when the cluster is restored from a backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_older(version: str | None, other: str | None) -> bool:
    """Whether one comes before the other; none comes before all."""
    return int(version or 0) < int(other or 0)


def is_echo(body: Mapping[str, Any], known: str | None) -> bool:
    """Whether an object is no newer than what is known of it: told before it is read, since most events only repeat our own writes."""
    return not is_older(known, body["metadata"]["resourceVersion"])


def went_back(known: str | None, read: str | None) -> bool:
    """Whether a quorum read that began when `known` was known shows an older version: then the cluster was restored meanwhile.

    What was known *before* the read began counts: a watch, or a write of our own, may bring a newer version while it is on its way.
    """
    return known is not None and read is not None and is_older(read, known)
