"""What was measured, as figures with their bounds."""

from __future__ import annotations

from bench.figures import Bound, Figure, Of
from bench.measuring import Anchors, Drain, Measurements, Refreshes, Restart
from bench.timing import peak, percentile, rate

MB = 1_000_000
SPAN = 5.0
"""Seconds over which a rate is held against its cap."""
UNEVEN = 1.05
"""What is let go at an even pace arrives less evenly: so much more than the cap is what is in flight at the ends of such a span."""
PATCH = "a bare PATCH"
LAG, WRITES_BEFORE_IT_SHOWS = 250.0, 2
"""Milliseconds; and what lies between an answer and the changed Secret: where these alone take longer, they are the bound."""


def judge(measured: Measurements, *, many: int, few: int) -> list[Figure]:
    """The table of one run."""
    return [
        *_refresh(measured.refreshes, measured.anchors),
        *_memory(measured, many=many, few=few),
        *_restart(measured.restart, measured.anchors, many=many),
        *_drain(measured.drain),
        Figure(
            "spent refresh tokens presented again",
            "",
            measured.presented_twice,
            measured.presentations,
            "presentations",
            Bound(0, Of.VALUE),
        ),
    ]


def _refresh(refreshes: Refreshes, anchors: Anchors) -> list[Figure]:
    lags, trips = refreshes.lags, anchors.round_trips
    return [
        Figure("controller's CPU, one delivered refresh", "ms", refreshes.cpu * 1e3, anchors.patch_cpu * 1e3, PATCH, Bound(8, Of.RATIO)),
        Figure("controller's CPU, one delivered refresh", "ms", refreshes.cpu * 1e3, anchors.refresh_cpu * 1e3, "its calls, bare"),
        Figure(
            "control plane's CPU, one delivered refresh",
            "ms",
            refreshes.server_cpu * 1e3,
            anchors.server_cpu * 1e3,
            PATCH,
            Bound(10, Of.RATIO),
        ),
        Figure("token answer to changed Secret, p50", "ms", percentile(lags, 50) * 1e3, percentile(trips, 50) * 1e3, PATCH),
        Figure(
            "token answer to changed Secret, p99",
            "ms",
            percentile(lags, 99) * 1e3,
            percentile(trips, 99) * 1e3,
            PATCH,
            Bound(max(LAG, WRITES_BEFORE_IT_SHOWS * percentile(trips, 99) * 1e3), Of.VALUE),
        ),
    ]


def _memory(measured: Measurements, *, many: int, few: int) -> list[Figure]:
    anchors, small, large = measured.anchors, measured.refreshes.resident, measured.restart.resident
    return [
        Figure(f"memory, {few:,} grants", "MB", small / MB, None, ""),
        Figure(f"memory, {many:,} grants", "MB", large / MB, anchors.list_resident / MB, "a bare list, kept", Bound(200, Of.VALUE)),
        Figure(
            "memory for one grant",
            "bytes",
            (large - small) / (many - few),
            anchors.bytes_a_grant,
            "its objects as JSON",
        ),
    ]


def _restart(restart: Restart, anchors: Anchors, *, many: int) -> list[Figure]:
    return [
        Figure(f"restart, {many:,} grants: writes", "", restart.writes, many, "grants", Bound(0, Of.VALUE)),
        Figure(
            f"restart, {many:,} grants: until all are scheduled",
            "s",
            restart.scheduled,
            anchors.list_seconds,
            "a bare list",
            Bound(3.5, Of.RATIO),
        ),
    ]


def _drain(drain: Drain) -> list[Figure]:
    reached = rate(drain.presented) if len(drain.presented) > 1 else None
    fullest = peak(drain.presented, SPAN)
    name = f"{drain.due:,} due at once: refreshes a second"
    why = "" if drain.cap is not None else "the connector knows no spec.limits.requestsPerSecond to compare with"
    left = drain.due - len(drain.presented)
    return [
        Figure(f"{drain.due:,} due at once: never refreshed", "", left, drain.due, "due", Bound(0, Of.VALUE)),
        Figure(name, "", reached, drain.cap, "the cap", Bound(0.9, Of.RATIO, at_least=True), skipped=why),
        Figure(f"{name}, the fullest {SPAN:g} s", "", fullest, drain.cap, "the cap", Bound(UNEVEN, Of.RATIO), skipped=why),
    ]
