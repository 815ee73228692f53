"""Conditions: every finding as a sentence, with the moment at which it last turned.

`Stalled` (kstatus) says that a person must act who is not the one being asked for consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from grantkeeper.core.reasons import STALLED, Reason
from grantkeeper.objects import Condition


class Truth(StrEnum):
    """Kubernetes' three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding: a condition before it has a time."""

    type: str
    truth: Truth
    reason: Reason
    message: str = ""

    @property
    def holds(self) -> bool:
        """Whether the condition is True."""
        return self.truth is Truth.TRUE


@lru_cache(maxsize=64)  # the same few are found of nearly every grant
def true(kind: str, reason: Reason, message: str = "") -> Verdict:
    """A condition that holds."""
    return Verdict(kind, Truth.TRUE, reason, message)


def false(kind: str, reason: Reason, message: str) -> Verdict:
    """A condition that does not hold; the message says what to do."""
    return Verdict(kind, Truth.FALSE, reason, message)


def pending(kind: str, message: str) -> Verdict:
    """A condition that nothing is known of yet."""
    return Verdict(kind, Truth.UNKNOWN, Reason.PENDING, message)


def summarize(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts, `Ready` over them, and `Stalled` where a person must act.

    `Ready` repeats the first that is not True, so one column of `kubectl get` says what is wrong.
    """
    broken = next((verdict for verdict in verdicts if not verdict.holds), None)
    ready = true("Ready", Reason.READY) if broken is None else Verdict("Ready", broken.truth, broken.reason, broken.message)
    stalled = next((v for v in verdicts if v.truth is Truth.FALSE and v.reason in STALLED), None)
    return (*verdicts, ready) if stalled is None else (*verdicts, ready, true("Stalled", stalled.reason, stalled.message))


def find_turn(current: Iterable[Condition], verdicts: Sequence[Verdict]) -> Verdict | None:
    """`Ready`, where it has turned or its reason has changed since it was last said; None also where it is Unknown: that is no news."""
    said = next((condition for condition in current if condition.type == "Ready"), None)
    ready = next(verdict for verdict in verdicts if verdict.type == "Ready")
    is_news = said is None or (said.status, said.reason) != (ready.truth, ready.reason)
    return ready if is_news and ready.truth is not Truth.UNKNOWN else None


def merge(current: Iterable[Condition], verdicts: Sequence[Verdict], *, generation: int, now: datetime) -> tuple[Condition, ...]:
    """The conditions to report: a time changes only where the truth does, so nothing is written when nothing changed."""
    known = {condition.type: condition for condition in current}
    merged: list[Condition] = []
    for verdict in verdicts:
        before = known.get(verdict.type)
        if before is not None and _says(before) == (verdict.truth, verdict.reason, verdict.message, generation):
            merged.append(before)  # as nearly always
            continue
        turned = now.replace(microsecond=0) if before is None or before.status != verdict.truth else before.last_transition_time
        merged.append(
            Condition(
                type=verdict.type,
                status=verdict.truth,
                reason=verdict.reason,
                message=verdict.message,
                last_transition_time=turned,
                observed_generation=generation,
            )
        )
    return tuple(merged)


def _says(condition: Condition) -> tuple[str, str, str, int | None]:
    return condition.status, condition.reason, condition.message, condition.observed_generation
