"""Times laid side by side: when answers were sent, when Secrets changed, and how fast what was due was presented."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.ledger import Entry
from bench.tokens import Turn


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of all do not exceed (nearest rank); ValueError where there are none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def lags(entries: Sequence[Entry], seen: Mapping[Turn, float]) -> list[float]:
    """Seconds from each answer to the first sight of the delivered Secret that holds its token; endless where it was never seen."""
    return [seen.get(entry.brought, math.inf) - entry.answered_at for entry in entries]


def rate(moments: Sequence[float]) -> float:
    """Events a second from the first to the last; ValueError for fewer than two."""
    if len(moments) < 2:
        raise ValueError("a rate takes two events")
    return (len(moments) - 1) / (max(moments) - min(moments))


def peak(moments: Sequence[float], span: float) -> float:
    """Events a second in the fullest span of this many seconds."""
    ordered = sorted(moments)
    most, first = 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - span:
            first += 1
        most = max(most, last - first + 1)
    return most / span
