"""Versions of one object: they rise with every write of the whole cluster, and fall only when the cluster is restored from a backup."""

from __future__ import annotations


def went_back(known: str | None, read: str | None) -> bool:
    """Whether a quorum read that began when `known` was known shows an older version: then the cluster was restored meanwhile.

    What was known *before* the read began counts: a watch, or a write of our own, may bring a newer version while it is on its way.
    """
    return known is not None and read is not None and int(read) < int(known)
