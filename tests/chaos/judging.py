"""What a storm left behind, as figures with their bounds and stories of what broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Bound, Figure, Of
from bench.timing import percentile
from chaos import rules
from chaos.archive import CODE, REFRESH, Archive
from chaos.evidence import Call, Evidence, Fate, Kind
from chaos.gaps import find_gaps
from chaos.losses import UNEXPLAINED, find_losses

NONE = Bound(0, Of.VALUE)
LEASE = 15.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The table, and the story of each rule that was broken."""

    figures: Sequence[Figure]
    breaches: Sequence[rules.Breach]


def judge(evidence: Evidence, *, over_at: float, lifetime: float, unwell: Sequence[str]) -> Judgement:
    """Judge one storm."""
    archive = Archive(evidence)
    losses = find_losses(archive)
    breaches = [*rules.find_breaches(archive), *losses.breaches]
    broken = Counter(breach.rule for breach in breaches)
    refreshes = [call for call in evidence.calls if call.grant_type == REFRESH]
    given = sum(call.gave for call in refreshes)
    gaps = find_gaps(archive, losses.ends, over_at, lifetime)
    longest = max(gaps, key=lambda gap: gap.lasted, default=None)
    tightest = max(gaps, key=lambda gap: gap.share, default=None)

    def count(rule: str, of: float, of_what: str) -> Figure:
        return Figure(rule, "", broken[rule], of, of_what, NONE)

    presented = len(refreshes)
    figures = [
        Figure("refreshes", "", given, None, ""),
        *_list_mishaps(evidence),
        Figure("answers cut, or too late", "", _count_lost(refreshes), given, "refreshes"),
        Figure("spent refresh tokens presented again", "", sum(call.was_spent for call in refreshes), presented, "presentations"),
        count(rules.AGAIN, presented, "presentations"),
        count(rules.THRICE, presented, "presentations"),
        count(rules.CODE_TWICE, sum(call.grant_type == CODE for call in evidence.calls), "codes"),
        count(rules.AT_ONCE, presented, "presentations"),
        count(rules.UNCLAIMED, presented, "presentations"),
        count(rules.STRANGE, presented, "presentations"),
        count(rules.TURNED_BACK, len(evidence.sealed), "sealed versions"),
        count(rules.UNTRUE, len(evidence.reports), "statuses"),
        Figure("grants lost", "", losses.number, losses.certain + losses.expected, "by the model", Bound(losses.bound, Of.VALUE)),
        *(Figure(f"grants lost: {cause}", "", number, None, "") for cause, number in losses.causes.most_common()),
        Figure(f"{UNEXPLAINED}", "", len(losses.breaches), losses.number, "lost", NONE),
        Figure("work at the server to journal, mean", "ms", losses.window * 1e3, None, ""),
        Figure("without a token, the longest", "s", longest.lasted if longest else 0.0, longest.allowed if longest else None, "allowed then"),
        Figure("without a token, p99 of gaps", "s", percentile([gap.lasted for gap in gaps], 99) if gaps else 0.0, len(gaps), "gaps"),
        Figure("without a token, the nearest to what is allowed", "s", tightest.lasted if tightest else 0.0,
               tightest.allowed if tightest else 1.0, "allowed then", Bound(1, Of.RATIO)),
        Figure("grants that were not well in the end", "", len(unwell), len(archive.chains), "grants", NONE),
    ]  # fmt: skip
    return Judgement(figures, breaches)


def _list_mishaps(evidence: Evidence) -> list[Figure]:
    kills = [mishap for mishap in evidence.mishaps if mishap.kind is Kind.KILL]
    stops = [mishap for mishap in evidence.mishaps if mishap.kind is Kind.STOP]
    return [
        Figure("kills", "", len(kills), sum(kill.led for kill in kills), "of the leader"),
        Figure("kills at a step of the protocol", "", sum(":kill" in kill.step for kill in kills), None, ""),
        Figure("Pods lost with their journal", "", sum(kill.pod_lost for kill in kills), None, ""),
        Figure("stops", "", len(stops), sum(stop.ended_at - stop.began_at > LEASE for stop in stops), "longer than the lease"),
        Figure("ways to the API server cut", "", sum(mishap.kind is Kind.CUT for mishap in evidence.mishaps), None, ""),
        Figure("times the authorization server was away", "", len(evidence.outages), None, ""),
    ]


def _count_lost(calls: Sequence[Call]) -> int:
    return sum(call.gave and call.fate in {Fate.CUT, Fate.LATE} for call in calls)
