"""How long a grant whose consent was good had no valid access token delivered, by the authorization server's clock; and how long it may.

A grant may be without one for

    T_claim 35 s + T_http 10 s + back-off 8 s + backlog 15 s        for what its own last request left behind
    + (lease 15 s + look 1 s + beginning 6 s + T_claim 35 s)        for each time that the leader was killed, stopped or cut off meanwhile
    + how long the leader was stopped or cut off                    beyond that
    + how long the authorization server was away

where meanwhile begins one lifetime before the token ended. T_claim is there each time because whoever takes over watches the claims of
others from the beginning: as long as leaders live shorter than that, a claim that a third one left behind keeps everybody away. A storm
that never rests has no better bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chaos.archive import CODE, RESPECTED, Archive
from chaos.evidence import Call, Copy, Kind, Mishap
from chaos.weather import PATIENCE

LEASE, LOOK, BEGINNING = 15.0, 1.0, 6.0
BACK_OFF, BACKLOG = 8.0, 15.0


class Gap(NamedTuple):
    """A time in which a grant's consent was good and nothing valid was delivered."""

    grant: str
    began_at: float
    ended_at: float
    allowed: float

    @property
    def lasted(self) -> float:
        """Seconds."""
        return self.ended_at - self.began_at

    @property
    def share(self) -> float:
        """Of what is allowed."""
        return self.lasted / self.allowed


def find_gaps(archive: Archive, ends: Mapping[str, float], between: tuple[float, float], lifetime: float) -> list[Gap]:
    """All of them between two moments. `ends` says from when on the consent of an account was lost."""
    copies = defaultdict[str, list[Copy]](list)
    for copy in sorted(archive.evidence.copies, key=lambda copy: copy.version):
        copies[copy.grant].append(copy)
    begins = {call.account: call for call in archive.evidence.calls if call.grant_type == CODE and call.gave}
    tokens = {gift.account for copy in archive.evidence.copies if (gift := archive.gifts.get(copy.access_token)) is not None}
    found = []
    for account in sorted(tokens & begins.keys()):
        call = begins[account]
        lived = (max(call.over_at, between[0]), min(ends.get(account, between[1]), between[1]))
        for began_at, ended_at in uncovered(lived, _cover(archive, account, copies[call.grant])):
            allowed = allow(archive, began_at - lifetime, ended_at)
            found.append(Gap(call.grant, began_at, ended_at, allowed))
    return found


def _cover(archive: Archive, account: str, copies: Sequence[Copy]) -> list[tuple[float, float]]:
    """When a live token of an account was delivered."""
    spans = []
    for copy, after in zip(copies, (*copies[1:], None), strict=True):
        gift: Call | None = archive.gifts.get(copy.access_token)
        if gift is not None and gift.account == account and gift.expires_at is not None:
            spans.append((copy.seen_at, min(gift.expires_at, after.seen_at if after is not None else gift.expires_at)))
    return spans


def uncovered(whole: tuple[float, float], spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What of a time is in none of the spans, which are in order."""
    found, at = [], whole[0]
    for began_at, ended_at in spans:
        if began_at > at:
            found.append((at, min(began_at, whole[1])))
        at = max(at, ended_at)
    if at < whole[1]:
        found.append((at, whole[1]))
    return [(begun, ended) for begun, ended in found if ended > begun]


def allow(archive: Archive, since: float, until: float) -> float:
    """Seconds that a grant may be without a token that lives, given what happened between two moments."""
    befallen = [mishap for mishap in archive.evidence.mishaps if mishap.led and mishap.began_at < until and mishap.ended_at > since]
    waits = sum(LEASE + LOOK + BEGINNING + RESPECTED + _stood(mishap) for mishap in befallen)
    away = sum(max(0.0, min(ended_at, until) - max(began_at, since)) for began_at, ended_at in archive.evidence.outages)
    return RESPECTED + PATIENCE + BACK_OFF + BACKLOG + waits + away


def _stood(mishap: Mishap) -> float:
    """Seconds beyond the lease that a leader stood still, or could reach nothing."""
    return 0.0 if mishap.kind is Kind.KILL else max(0.0, mishap.ended_at - mishap.began_at - LEASE)
