"""What a storm left behind, as figures with their bounds and stories of what broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Bound, Figure, Of
from bench.timing import percentile
from chaos import rules
from chaos.archive import CODE, REFRESH, Archive
from chaos.evidence import BY_ITSELF, Call, Evidence, Fate, Kind
from chaos.gaps import Gap, find_gaps
from chaos.losses import UNEXPLAINED, find_losses

NONE = Bound(0, Of.VALUE)
LEASE = 15.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The table, and the story of each rule that was broken."""

    figures: Sequence[Figure]
    breaches: Sequence[rules.Breach]


def judge(
    evidence: Evidence,
    *,
    between: tuple[float, float],
    lifetime: float,
    unwell: Sequence[str],
    least: tuple[int, int] | None = None,
) -> Judgement:
    """Judge one storm that blew between two moments; `least` is how many refreshes and kills there should have been."""
    archive = Archive(evidence)
    losses = find_losses(archive)
    breaches = [*rules.find_breaches(archive), *losses.breaches]
    broken = Counter(breach.rule for breach in breaches)
    refreshes = [call for call in evidence.calls if call.grant_type == REFRESH]
    given = sum(call.gave for call in refreshes)
    gaps = find_gaps(archive, losses.ends, between, lifetime)

    def count(rule: str, of: float, of_what: str) -> Figure:
        return Figure(rule, "", broken[rule], of, of_what, NONE)

    presented = len(refreshes)
    figures = [
        Figure("refreshes", "", given, None, "", Bound(least[0], Of.VALUE, at_least=True) if least else None),
        *_list_mishaps(evidence, least[1] if least else None),
        Figure("refreshes over a connection that was kept", "", sum(call.was_kept for call in refreshes), given, "refreshes"),
        Figure("answers cut, or too late", "", _count_lost(refreshes), given, "refreshes"),
        Figure("spent refresh tokens presented again", "", sum(call.was_spent for call in refreshes), presented, "presentations"),
        count(rules.AGAIN, presented, "presentations"),
        count(rules.THRICE, presented, "presentations"),
        count(rules.CODE_TWICE, sum(call.grant_type == CODE for call in evidence.calls), "codes"),
        count(rules.AT_ONCE, presented, "presentations"),
        Figure("two leaders at once, by their own words", "", evidence.overlaps, None, ""),
        count(rules.UNCLAIMED, presented, "presentations"),
        count(rules.STRANGE, presented, "presentations"),
        count(rules.TURNED_BACK, len(evidence.sealed), "sealed versions"),
        count(rules.UNTRUE, len(evidence.reports), "statuses"),
        Figure("grants lost", "", losses.number, losses.certain + losses.expected, "by the model", Bound(losses.bound, Of.VALUE)),
        *(Figure(f"grants lost: {cause}", "", number, None, "") for cause, number in losses.causes.most_common()),
        Figure(UNEXPLAINED, "", len(losses.breaches), losses.number, "lost", NONE),
        Figure("work at the server to journal, mean", "ms", losses.window * 1e3, None, ""),
        *_list_gaps(gaps, given),
        Figure("grants that were not well in the end", "", len(unwell), len(archive.chains), "grants", NONE),
    ]
    return Judgement(figures, breaches)


def _list_mishaps(evidence: Evidence, least: int | None) -> list[Figure]:
    deaths = [mishap for mishap in evidence.mishaps if mishap.kind is Kind.KILL]
    kills = [death for death in deaths if death.step != BY_ITSELF]
    stops = [mishap for mishap in evidence.mishaps if mishap.kind is Kind.STOP]
    return [
        Figure("kills", "", len(kills), None, "", Bound(least, Of.VALUE, at_least=True) if least else None),
        Figure("kills of the leader", "", sum(kill.led for kill in kills), len(kills), "kills"),
        Figure("kills at a step of the protocol", "", sum(":kill" in kill.step for kill in kills), None, ""),
        Figure("replicas that ended by themselves", "", len(deaths) - len(kills), None, ""),
        Figure("Pods lost with their journal", "", sum(kill.pod_lost for kill in kills), None, ""),
        Figure("stops", "", len(stops), None, ""),
        Figure("stops past the lease", "", sum(stop.ended_at - stop.began_at > LEASE for stop in stops), None, ""),
        Figure("ways to the API server cut", "", sum(mishap.kind is Kind.CUT for mishap in evidence.mishaps), None, ""),
        Figure("times the authorization server was away", "", len(evidence.outages), None, ""),
    ]


def _list_gaps(gaps: Sequence[Gap], refreshes: int) -> list[Figure]:
    lengths = [gap.lasted for gap in gaps] or [0.0]
    tightest = max(gaps, key=lambda gap: gap.share, default=Gap("", 0.0, 0.0, 1.0))
    return [
        Figure("times that a grant was without a token", "", len(gaps), refreshes, "refreshes"),
        Figure("without a token, p99 of these", "s", percentile(lengths, 99), None, ""),
        Figure("without a token, the longest", "s", max(lengths), None, ""),
        Figure("without a token, the nearest to its bound", "s", tightest.lasted, tightest.allowed, "allowed then", Bound(1, Of.RATIO)),
    ]


def _count_lost(calls: Sequence[Call]) -> int:
    return sum(call.gave and call.fate in {Fate.CUT, Fate.LATE} for call in calls)
