"""The rules that no storm may break, each a function from the archive to what broke it: pure, so that a table can try them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from chaos.archive import CODE, RESPECTED, SEEN_LATE, Archive, Standing, at_version
from chaos.evidence import Call, Copy, Fate, Report, Sealed

MOST = 2
"""How often a refresh token is ever presented."""


class Breach(NamedTuple):
    """A rule that was broken, and the story of it."""

    rule: str
    story: str


AGAIN = "a spent refresh token presented with no answer lost"
THRICE = "a refresh token presented a third time"
CODE_TWICE = "a code presented twice"
AT_ONCE = "two holders at once"
UNCLAIMED = "presented without a claim"
TURNED_BACK = "turned back"
UNTRUE = "a status that is not true"
STRANGE = "a token that nobody was given"


def find_breaches(archive: Archive) -> list[Breach]:
    """All of them."""
    found = [breach for calls in list(archive.calls.values()) if calls for breach in _judge_token(archive, calls)]
    for grant, chain in list(archive.chains.items()):
        found += [*_judge_chain(grant, chain), *_judge_claims(grant, chain)]
    copies, reports = defaultdict[str, list[Copy]](list), defaultdict[str, list[Report]](list)
    for copy in sorted(archive.evidence.copies, key=lambda copy: copy.version):
        copies[copy.grant].append(copy)
    for report in sorted(archive.evidence.reports, key=lambda report: report.version):
        reports[report.grant].append(report)
    for grant, seen in copies.items():
        found += _judge_order(grant, "delivered", [(copy.generation, copy.seen_at) for copy in seen if copy.access_token])
    for grant, told in reports.items():
        found += _judge_order(grant, "reported", [(report.generation, report.seen_at) for report in told])
        found += _judge_truth(told, archive.chains[grant], copies[grant])
    return found


def _judge_token(archive: Archive, calls: list[Call]) -> Iterator[Breach]:
    """All presentations of one code or refresh token."""
    first, presented = calls[0], calls[0].presented
    story = f"{first.account or 'nobody'} {presented[:8]}: {'; '.join(tell(call, first.arrived_at) for call in calls)}"
    claims = archive.claims[presented]
    story += f"; claims {[tell_claim(standing, first.arrived_at) for standing in claims]}"
    if not first.account:
        yield Breach(STRANGE, story)
        return
    if first.grant_type == CODE:
        if len(calls) > 1:
            yield Breach(CODE_TWICE, story)
        return
    if len(calls) > MOST:
        yield Breach(THRICE, story)
    if len(calls) > len(claims):
        yield Breach(UNCLAIMED, story)
    spending = next((call for call in calls if call.gave), None)
    if any(call.was_spent for call in calls) and (spending is None or archive.explain(spending) is None):
        yield Breach(AGAIN, story)
    for before, after in pairwise(calls):
        if after.arrived_at < before.over_at:
            yield Breach(AT_ONCE, f"both in flight: {story}")


def _judge_claims(grant: str, chain: list[Sealed]) -> Iterator[Breach]:
    """A claim that another Pod holds is taken when it says that it is over, or has stood for as long as it is respected.

    A code is presented whatever claim stands: it is another token, and the gains that come of both are told apart when they are stored.
    """
    standing: Standing | None = None
    for before, after in pairwise(chain):
        if before.claim is None:
            standing = None
            continue
        if standing is None or standing.claim.attempt != before.claim.attempt:
            standing = Standing(before.seen_at, before.claim)
        taken = after.claim is not None and after.claim.hash == before.claim.hash and after.claim.pod != before.claim.pod
        age = after.seen_at - standing.seen_at
        if taken and not before.claim.lost and age < RESPECTED - SEEN_LATE:
            assert after.claim is not None
            yield Breach(AT_ONCE, f"{grant}: the claim of {before.claim.pod[:8]} was {age:.1f} s old when {after.claim.pod[:8]} took it")


def _judge_chain(grant: str, chain: list[Sealed]) -> Iterator[Breach]:
    """Each set is one generation further than the one that it replaces."""
    for before, after in pairwise(chain):
        if before.tokenset and before.tokenset != after.tokenset and after.generation != before.generation + 1:
            yield Breach(TURNED_BACK, f"{grant}: a sealed set of generation {before.generation} was replaced by {after.generation}")


def _judge_order(grant: str, what: str, generations: list[tuple[int, float]]) -> Iterator[Breach]:
    for (before, _), (after, seen_at) in pairwise(generations):
        if after < before:
            yield Breach(TURNED_BACK, f"{grant}: generation {after} was {what} after {before}, seen at {seen_at:.3f}")


def _judge_truth(reports: list[Report], chain: list[Sealed], copies: list[Copy]) -> Iterator[Breach]:
    """What is reported was sealed before; what is called ready was delivered before. Versions are one order over all objects."""
    sealed_versions, copy_versions = [sealed.version for sealed in chain], [copy.version for copy in copies]
    expiries = {copy.generation: copy.expires for copy in copies if copy.access_token}
    for report in reports:
        place = at_version(sealed_versions, report.version)
        sealed = chain[place].generation if place >= 0 else 0
        if report.generation > sealed:
            yield Breach(UNTRUE, f"{report.grant}: generation {report.generation} was reported when {sealed} was sealed")
        if not report.is_ready:
            continue
        place = at_version(copy_versions, report.version)
        delivered = copies[place].generation if place >= 0 else 0
        if delivered < report.generation:
            yield Breach(UNTRUE, f"{report.grant}: Ready with generation {report.generation} when {delivered} was delivered")
        if (expires := expiries.get(report.generation)) is not None and expires != report.expires:
            yield Breach(UNTRUE, f"{report.grant}: generation {report.generation} expires {expires}, and {report.expires} was reported")


def tell(call: Call, since: float) -> str:
    """One presentation, in seconds since another moment."""
    over = f"{call.over_at - since:+.2f}" if call.over_at != float("inf") else "open"
    outcome = call.error or ("given" if call.gave else "")
    spent = " spent" if call.was_spent else ""
    return f"{call.arrived_at - since:+.2f}…{over} {Fate(call.fate)}{spent} {outcome}".strip()


def tell_claim(standing: Standing, since: float) -> str:
    """One claim, likewise."""
    return f"{standing.seen_at - since:+.2f} {standing.claim.pod[:8]}/{standing.claim.boot[:4]}"
