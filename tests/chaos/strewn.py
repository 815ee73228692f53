"""Evidence made by hand, for tables: one grant, its calls and versions, with all that a row does not say left plain."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.archive import REFRESH, Archive
from chaos.evidence import Call, Claimed, Copy, Entry, Evidence, Fate, Kind, Mishap, Report, Sealed

A, B = "pod-a", "pod-b"


def call(presented: str, at: float, **said: object) -> Call:
    """A request that is answered at once, with the successor of what was presented: `r1` brings `a2` and `r2`."""
    number = int(presented[1:]) + 1
    plain = {
        "account": "alice#1",
        "grant_type": REFRESH,
        "presented": presented,
        "arrived_at": at,
        "fate": Fate.ANSWERED,
        "was_spent": False,
        "error": None,
        "access_token": f"a{number}",
        "refresh_token": f"r{number}",
        "expires_at": at + 10,
        "answered_at": at,
        "ended_at": at + 0.01,
        "was_kept": False,
    }
    return Call(**(plain | said))  # type: ignore[arg-type]


def cut(presented: str, at: float) -> Call:
    """The work was done, and the answer cut."""
    return call(presented, at, fate=Fate.CUT, answered_at=None, ended_at=at)


def late(presented: str, at: float, gone_after: float = 10.0) -> Call:
    """The work was done, and the peer was gone before the answer came."""
    return call(presented, at, fate=Fate.LATE, answered_at=None, ended_at=at + gone_after)


def dropped(presented: str, at: float) -> Call:
    """Nothing was done."""
    return call(presented, at, fate=Fate.DROPPED, access_token=None, refresh_token=None, expires_at=None, answered_at=None, ended_at=at)


def refused(presented: str, at: float, *, was_spent: bool = True) -> Call:
    """It was not accepted."""
    return call(presented, at, was_spent=was_spent, error="invalid_grant", access_token=None, refresh_token=None, expires_at=None)


def kill(
    at: float, pod: str = A, *, journal: tuple[str, ...] = (), lost: bool = False, step: str = "at random", led: bool = True
) -> Mishap:
    """A kill, and a next life soon."""
    entries = tuple(Entry(presented, at - 0.01) for presented in journal)
    return Mishap(Kind.KILL, pod, at, at + 1, led, step, entries, lost)


def stop(at: float, lasting: float, pod: str = A, *, led: bool = True) -> Mishap:
    """A stop."""
    return Mishap(Kind.STOP, pod, at, at + lasting, led)


@dataclass(slots=True)
class Strewn:
    """Versions count up by themselves, a second each unless said otherwise."""

    evidence: Evidence = field(default_factory=Evidence)
    _version: int = 0

    def calls(self, *calls: Call) -> Strewn:
        """What was presented."""
        self.evidence.calls += calls
        return self

    def mishaps(self, *mishaps: Mishap) -> Strewn:
        """What was done."""
        self.evidence.mishaps += mishaps
        return self

    def claim(self, presented: str, attempt: str, *, at: float = 0.0, pod: str = A, lost: bool = False, generation: int = 1) -> Strewn:
        """A version with a claim on a token of the set that is held."""
        claimed = Claimed(attempt, pod, f"boot-of-{attempt}", presented, lost)
        self._version += 1
        self.evidence.sealed.append(Sealed("alice", self._version, at, generation, f"set-{generation}", claimed))
        return self

    def store(self, generation: int, *, at: float = 0.0, tokenset: str = "") -> Strewn:
        """A version with a set and no claim."""
        self._version += 1
        self.evidence.sealed.append(Sealed("alice", self._version, at, generation, tokenset or f"set-{generation}", None))
        return self

    def deliver(self, generation: int, *, at: float = 0.0, token: str | None = None) -> Strewn:
        """A version of the delivered Secret."""
        self._version += 1
        self.evidence.copies.append(Copy("alice", self._version, at, generation, f"a{generation}" if token is None else token, "soon"))
        return self

    def report(self, generation: int, *, ready: bool = True, expires: str = "soon") -> Strewn:
        """A version of the status."""
        self._version += 1
        reason = "Ready" if ready else "Expired"
        self.evidence.reports.append(Report("alice", self._version, 0.0, generation, ready, reason, expires))
        return self

    @property
    def archive(self) -> Archive:
        """All of it."""
        return Archive(self.evidence)
