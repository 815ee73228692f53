"""A circuit: after a failure that is nobody's in particular, one at a time tries whether it still holds, less and less often.

It opens at the first such failure and closes at the first success, so a mistake in a client secret costs a handful of requests
an hour, however many grants there are.
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


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit."""

    patience: Patience
    tried_at: datetime
    wait: timedelta
    is_untested: bool = False
    """The time for a probe has come and gone, and nobody was due: whether the failure still holds is unknown."""

    @property
    def probe_at(self) -> datetime:
        """When it is tried again."""
        return self.tried_at + self.wait

    @property
    def probe_by_awaited_at(self) -> datetime:
        """When somebody who is waited for may try: a code does not live as long as a probe may be away."""
        return self.tried_at + min(self.wait, self.patience.first)

    @property
    def untested_at(self) -> datetime:
        """From when on it is unknown whether the failure still holds, if nothing has been tried by then."""
        return self.tried_at + max(self.wait, self.patience.said_for) + QUIET


def fail(circuit: Circuit | None, patience: Patience, now: datetime) -> Circuit:
    """Open it, or note that a probe failed. What was on its way when it opened tells nothing new."""
    if circuit is None or circuit.patience != patience:
        return Circuit(patience, tried_at=now, wait=patience.first)
    if now < circuit.probe_by_awaited_at:
        return circuit
    return Circuit(patience, tried_at=now, wait=min(2 * circuit.wait, patience.most))


def hold(circuit: Circuit, now: datetime) -> Circuit:
    """A probe has shown nothing: as long again until the next."""
    return replace(circuit, tried_at=now, is_untested=False) if now >= circuit.probe_by_awaited_at else circuit


def lapse(circuit: Circuit, now: datetime) -> Circuit:
    """Mark it where nobody tried although somebody might have. A clock that was ahead keeps nobody waiting once it is right."""
    return replace(circuit, tried_at=min(circuit.tried_at, now), is_untested=circuit.is_untested or now >= circuit.untested_at)
