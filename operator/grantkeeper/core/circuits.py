"""A circuit: after a failure that is nobody's in particular, one at a time tries whether it still holds, less and less often.

It opens at the first such failure and closes at the first success, so a mistake in a client secret costs a handful of requests
an hour, however many grants there are. Silence is another matter, for each token that is presented into it may be spent: it takes a few
answers in a row that did not come to tell it from one that was lost, and probes are rarer from the beginning.

One grant can fail for reasons of its own, for ever. So who has failed by itself before tries after all others, and what comes of it keeps
nobody waiting but its like.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

QUIET = timedelta(seconds=20)
"""A probe that could have been made has shown something by then; if not, nobody is due."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited after the first failure; that doubles with each probe that fails, up to the most."""

    first: timedelta
    most: timedelta
    said_for: timedelta
    """For how long at least the failure is said, though nobody may have been due to try again."""


CLIENT = Patience(first=timedelta(minutes=1), most=timedelta(hours=1), said_for=timedelta(minutes=1))
"""Towards a server that rejects the client: a person has to mend something."""
REACH = Patience(first=timedelta(seconds=2), most=timedelta(minutes=1), said_for=timedelta(minutes=1))
"""Towards one that cannot be reached: nothing leaves, and it may be back at any moment."""
SILENCE = Patience(first=timedelta(seconds=30), most=timedelta(minutes=30), said_for=timedelta(minutes=1))
"""Towards one that takes what is presented and gives no usable answer: each probe may cost a consent."""
SILENT_AFTER = 3
"""So many in a row, and no answer in between: one is about one token, two may be a server that was just restarted."""
SOONEST_AFTER_A_SIGN = timedelta(minutes=5)
"""Between two probes of a silent server, where something else than a token request shows that it answers again."""
LONGEST_AMONG_FAILED = timedelta(minutes=5)
"""Between two probes by those that failed by themselves: each of them waits for itself, too, and any may be mended by now."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit."""

    patience: Patience
    tried_at: datetime
    wait: timedelta
    is_untested: bool = False
    """The time for a probe has come and gone, and nobody was due: whether the failure still holds is unknown."""
    is_unspent: bool = False
    """The last probe never left, so it cost nothing, and the next may follow soon; how rare they are stays as it was."""
    passed_on_at: datetime | None = None
    """When a probe last showed something of one grant alone, so that the next is another's."""
    passed_on_for: timedelta = timedelta(0)
    """For how long those wait from then on that have failed by themselves."""

    @property
    def is_silence(self) -> bool:
        """Whether it is open because no answer comes."""
        return self.patience == SILENCE

    @property
    def probe_at(self) -> datetime:
        """When it is tried again."""
        return self.tried_at + (min(self.wait, REACH.most) if self.is_unspent else self.wait)

    @property
    def probe_by_awaited_at(self) -> datetime:
        """When somebody who is waited for may try: a code does not live as long as a probe may be away."""
        return self.tried_at + min(self.wait, self.patience.first)

    @property
    def probe_by_failed_at(self) -> datetime:
        """When somebody who has failed by itself may try: not right after one of its like."""
        return self.probe_at if self.passed_on_at is None else max(self.probe_at, self.passed_on_at + self.passed_on_for)

    @property
    def untested_at(self) -> datetime:
        """From when on it is unknown whether the failure still holds, if nothing has been tried by then."""
        return self.tried_at + max(self.wait, self.patience.said_for) + QUIET


def fail(circuit: Circuit | None, patience: Patience, now: datetime) -> Circuit:
    """Open it, or note that a probe failed. What was on its way when it opened tells nothing new.

    A silent server that cannot be reached either stays silent until it answers: what was learned of it is not forgotten by that.
    """
    if circuit is not None and circuit.is_silence and patience == REACH:
        return replace(circuit, tried_at=now, is_unspent=True, is_untested=False)
    if circuit is None or circuit.patience != patience:
        return Circuit(patience, tried_at=now, wait=patience.first)
    if now < circuit.probe_by_awaited_at:
        return circuit
    return Circuit(patience, tried_at=now, wait=min(2 * circuit.wait, patience.most))


def hold(circuit: Circuit, now: datetime) -> Circuit:
    """A probe has shown nothing: as long again until the next."""
    return replace(circuit, tried_at=now, is_untested=False, is_unspent=False) if now >= circuit.probe_by_awaited_at else circuit


def pass_on(circuit: Circuit, now: datetime) -> Circuit:
    """A probe has shown something of one grant alone: another may try at once, and those that failed by themselves less and less often."""
    wait = min(max(circuit.wait, 2 * circuit.passed_on_for), circuit.patience.most, LONGEST_AMONG_FAILED)
    return replace(circuit, passed_on_at=now, passed_on_for=wait)


def hasten(circuit: Circuit, now: datetime) -> Circuit:
    """The server answers something again: a silent one is tried soon, but not at every such sign."""
    return replace(circuit, wait=min(circuit.wait, max(SOONEST_AFTER_A_SIGN, now - circuit.tried_at))) if circuit.is_silence else circuit


def lapse(circuit: Circuit, now: datetime) -> Circuit:
    """Mark it where nobody tried although somebody might have. Where the clock was set back, what is waited for begins anew."""
    passed_on_at = min(circuit.passed_on_at, now) if circuit.passed_on_at is not None else None
    is_untested = circuit.is_untested or now >= circuit.untested_at
    return replace(circuit, tried_at=min(circuit.tried_at, now), passed_on_at=passed_on_at, is_untested=is_untested)
