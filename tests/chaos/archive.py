"""The evidence, put in order: by token, by grant, by Pod. And for an answer that was lost, why it may have been."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from chaos.evidence import Call, Claimed, Evidence, Fate, Kind, Mishap, Sealed
from chaos.weather import PATIENCE

WINDOW = 0.5
"""Seconds that a process may have run since the end of an answer, to be killed before what came was in its journal.

It takes a few milliseconds; this machine may be busy, and who kills sees it a little late.
"""
BEFORE = 0.2
"""Seconds by which a death may be noted before, or a request after, it was."""
RESPECTED = 35.0
"""Seconds that another's claim is respected (T_claim)."""
SEEN_LATE = 1.5
"""Seconds by which a version may be seen later than it was written."""
REFRESH, CODE = "refresh_token", "authorization_code"


class Cause(StrEnum):
    """Why a successor that a server gave may never have been stored."""

    CUT = "the answer was cut"
    LATE = "the answer came too late"
    KILLED = "killed before the journal"
    POD = "the Pod was lost with its journal"
    OVERTAKEN = "stood still for longer than its claim"
    SPENT = "two answers lost, nothing given"


class Standing(NamedTuple):
    """A claim, and when it was first seen."""

    seen_at: float
    claim: Claimed


@dataclass(slots=True)
class Archive:
    """Everything by what it is looked up by."""

    evidence: Evidence
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    """Token requests by what was presented, in the order of their arrival."""
    claims: dict[str, list[Standing]] = field(default_factory=lambda: defaultdict(list))
    """One for each attempt, by the hash of what it is on."""
    chains: dict[str, list[Sealed]] = field(default_factory=lambda: defaultdict(list))
    """The versions of each sealed Secret."""
    stored: set[str] = field(default_factory=set)
    """Refresh tokens whose successor was stored."""
    kills: dict[str, list[Mishap]] = field(default_factory=lambda: defaultdict(list))
    stops: dict[str, list[Mishap]] = field(default_factory=lambda: defaultdict(list))
    gifts: dict[str, Call] = field(default_factory=dict)
    """The call that gave each access token."""

    def __post_init__(self) -> None:
        for call in sorted(self.evidence.calls, key=lambda call: call.arrived_at):
            self.calls[call.presented].append(call)
            if call.access_token is not None:
                self.gifts[call.access_token] = call
        for sealed in sorted(self.evidence.sealed, key=lambda sealed: sealed.version):
            self._keep(sealed)
        for mishap in sorted(self.evidence.mishaps, key=lambda mishap: mishap.began_at):
            if mishap.kind is not Kind.CUT:
                (self.kills if mishap.kind is Kind.KILL else self.stops)[mishap.pod].append(mishap)

    def _keep(self, sealed: Sealed) -> None:
        chain = self.chains[sealed.grant]
        before = chain[-1] if chain else None
        chain.append(sealed)
        if sealed.claim is not None and sealed.claim.attempt not in {standing.claim.attempt for standing in self.claims[sealed.claim.hash]}:
            self.claims[sealed.claim.hash].append(Standing(sealed.seen_at, sealed.claim))
        if before is not None and before.claim is not None and before.tokenset != sealed.tokenset:
            self.stored.add(before.claim.hash)

    def explain(self, spending: Call) -> Cause | None:
        """Why the successor that this request was given may be lost; None where there is no reason, or it is not lost at all."""
        if spending.presented in self.stored:
            return None
        if spending.fate == Fate.CUT:
            return Cause.CUT
        pods = {standing.claim.pod for standing in self.claims[spending.presented]}
        kills = [kill for pod in pods for kill in self.kills[pod] if kill.began_at >= spending.arrived_at - BEFORE]
        journaled = {kill.pod for kill in kills if _has(kill, spending.presented)}
        if any(kill.pod_lost and _has(kill, spending.presented) for kill in kills):
            return Cause.POD
        if any(kill.pod not in journaled and self._ran(kill.pod, spending.over_at, kill.began_at) <= WINDOW for kill in kills):
            return Cause.KILLED
        if spending.fate == Fate.LATE and spending.over_at - spending.arrived_at >= PATIENCE - 1:
            return Cause.LATE
        return Cause.OVERTAKEN if self.is_overtaken(spending.presented) else None

    def is_overtaken(self, presented: str) -> bool:
        """Whether a claim on it was taken over by another Pod after it had stood for as long as it is respected."""
        claims = self.claims[presented]
        return any(
            after.claim.pod != before.claim.pod and after.seen_at - before.seen_at >= RESPECTED - SEEN_LATE
            for before, after in pairwise(claims)
        )

    def _ran(self, pod: str, since: float, until: float) -> float:
        """Seconds between two moments in which a Pod's process was not stopped."""
        stopped = sum(max(0.0, min(stop.ended_at, until) - max(stop.began_at, since)) for stop in self.stops[pod])
        return until - since - stopped


def _has(kill: Mishap, presented: str) -> bool:
    return any(entry.presented == presented for entry in kill.journal)


def at_version(versions: list[int], version: int) -> int:
    """The place of the newest version that is not newer than this one; -1 where there is none."""
    return bisect_right(versions, version) - 1


def by_grant(calls: Iterable[Call]) -> dict[str, list[str]]:
    """The accounts of each grant, in the order of their consents."""
    accounts: dict[str, list[str]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.arrived_at):
        if call.account and call.account not in accounts[call.grant]:
            accounts[call.grant].append(call.account)
    return accounts
