"""Judge a connector: what was found of its server and of its client secret becomes conditions, each a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from grantkeeper.core import circuits
from grantkeeper.core.circuits import Circuit
from grantkeeper.core.clocks import LONGEST_WAIT
from grantkeeper.core.conditions import Verdict, false, pending, summarize, true
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.pacing import Gate
from grantkeeper.core.reasons import Reason
from grantkeeper.core.times import to_text

MENDABLE = frozenset({"ClientRejected", "Unreachable", "RequestRejected", "AnswerUnusable"})
"""Failures that another spec, or a server that answers again, may have mended, as reasons of an attempt."""
LONG_REST = timedelta(minutes=1)
"""A server that asks to be left alone for less is not worth a word in status."""
LAST_TRY_SOONEST_AFTER = timedelta(seconds=20)
"""How long a token that may be presented only once more waits for others to show whether it is the server: two time-outs, from the
last answer that did not come."""
LAST_TRY_AFTER = timedelta(hours=1)
"""The same while the server is silent."""
LAST_TRY_AT_MOST_AFTER = timedelta(days=1)
"""The same while the server answers nothing else either."""
SILENT = (
    "The authorization server takes token requests and gives no usable answer, the last time: {why}. Nobody needs to do anything for these "
    "grants: one at a time tries again, more and more rarely, because what is presented into silence may be spent by it. Tokens that live "
    "stay in use."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something about a connector does not hold: a condition reason and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one connector, held in memory between looks."""

    uid: str = ""
    """The connector's own; one that bears its name later starts from nothing."""
    generation: int = 0
    endpoints: Endpoints | None = None
    metadata_problem: Problem | None = None
    secret: SecretStr | None = None
    secret_problem: Problem | None = None
    fetch_problem: Problem | None = None
    """Why the server could not be looked at."""
    fallback_secret: SecretStr | None = None
    fallback_problem: Problem | None = None
    """Why the second client secret will not do; the first serves all the same."""
    rejected_secret: SecretStr | None = None
    """Of the two client secrets, the one that the server rejected last: the other one is tried first."""
    noted: Problem | None = None
    """What token requests have shown of the server or the client, while it counts."""
    circuit: Circuit | None = None
    """When that is tried again; there while something is noted."""
    healed_at: datetime | None = None
    """When something that was noted last ceased to count; nobody needs to wait for what failed before."""
    changed_at: datetime | None = None
    """When the spec or the client secret last changed."""
    rejected_by: str = ""
    """Uid of the grant whose request was rejected last, if nothing has shown since then how another one's fares."""
    sign_at: datetime | None = None
    """When something else than a token request showed last that the server answers again."""
    rests_until: datetime | None = None
    """Until when the server asked to be left alone."""
    is_long_rest: bool = False
    """Whether that is long enough to be said."""
    unanswered: int = 0
    """How many token requests in a row put what they presented in doubt, since the last usable answer."""
    unanswered_at: datetime | None = None
    """When the last of them ended."""
    is_judged: bool = False

    @property
    def is_untested(self) -> bool:
        """Whether something was noted, and it is unknown whether it still holds, for nobody was due to try."""
        return self.circuit is not None and self.circuit.is_untested

    @property
    def is_silent(self) -> bool:
        """Whether the server takes what is presented and gives no usable answer, as far as is known."""
        return self.circuit is not None and self.circuit.is_silence

    @property
    def reach_problem(self) -> Problem | None:
        """Why the server is not of use now."""
        return (None if self.is_untested else self.noted) or self.fetch_problem

    @property
    def secrets(self) -> tuple[SecretStr | None, SecretStr | None]:
        """The client secret to try first, and the other."""
        swapped = self.fallback_secret is not None and self.rejected_secret == self.secret
        return (self.fallback_secret, self.secret) if swapped else (self.secret, self.fallback_secret)

    @property
    def gate(self) -> Gate:
        """When something may be presented at the token endpoint. While a problem stands, one at a time finds out whether it does."""
        if self.circuit is None:
            return Gate(self.rests_until, self.rests_until)
        rests_until = self.rests_until or self.circuit.tried_at
        return Gate(
            max(rests_until, self.circuit.probe_at),
            max(rests_until, self.circuit.probe_by_awaited_at),
            is_narrow=True,
            opens_to_failed_at=max(rests_until, self.circuit.probe_by_failed_at),
        )

    def has_healed_since(self, reason: str, moment: datetime) -> bool:
        """Whether an attempt that failed for this reason at that moment need not wait any longer: what it failed by is mended.

        That others succeed mends no request that was rejected.
        """
        mended_at = self.changed_at if reason == "RequestRejected" else self.healed_at
        return mended_at is not None and moment <= mended_at and reason in MENDABLE | {"ServerError"}

    def bring_near(self, until: datetime | None, reason: str, moment: datetime) -> datetime | None:
        """The end of a wait after an attempt that failed for this reason at that moment: sooner where the server has shown a sign since."""
        if until is None or reason != "ServerError" or self.sign_at is None or self.sign_at < moment:
            return until
        return min(until, moment + circuits.SOONEST_AFTER_A_SIGN)

    @property
    def last_try_at(self) -> datetime | None:
        """From when on a token in doubt may be presented for the last time; None where nothing speaks against it.

        It is not spent on finding out whether a server answers that is silent, or cannot even be looked at: others do that.
        """
        if self.unanswered_at is None:
            return None
        if self.fetch_problem is not None:
            return self.unanswered_at + LAST_TRY_AT_MOST_AFTER
        return self.unanswered_at + (LAST_TRY_AFTER if self.unanswered >= circuits.SILENT_AFTER else LAST_TRY_SOONEST_AFTER)

    def obstacle(self, now: datetime) -> str | None:
        """Why those that wait for their turn wait long, as the reason of an attempt; None where they do not."""
        if self.is_silent and not self.is_untested:
            return "Silent"
        if self.noted is not None and not self.is_untested:
            return self.noted.reason
        return "Refused" if self.is_long_rest and self.rests_until is not None and self.rests_until > now else None

    @property
    def is_ready(self) -> bool:
        """Whether grants may rely on it."""
        return self.is_judged and self.endpoints is not None and not (self.metadata_problem or self.secret_problem or self.reach_problem)


def note(standing: Standing, problem: Problem | None, now: datetime) -> Standing:
    """What a token request has shown of the server or the client: a problem, or that there is none."""
    if problem is None:
        standing = heal(_answered(standing), now)
        is_known = standing.fetch_problem is None and not standing.rejected_by  # as nearly always
        return standing if is_known else replace(standing, fetch_problem=None, rejected_by="")
    if problem.reason == "ClientRejected":
        circuit = circuits.fail(standing.circuit, circuits.CLIENT, now)
        return replace(_answered(standing), noted=problem, circuit=circuit, rejected_by="")
    return replace(standing, noted=problem, circuit=circuits.fail(standing.circuit, circuits.REACH, now))


def note_inconclusive(standing: Standing, now: datetime, *, rest: timedelta | None = None, is_repeated: bool = False) -> Standing:
    """A token request was answered, and has shown nothing of the client; the server may have asked to be left alone for so long.

    Where it `is_repeated` it was answered so for the same grant when that was last tried, too.
    """
    standing = note_answer(standing, now)
    return _rest(pass_on(standing, now) if is_repeated else _hold(standing, now), now, rest)


def note_answer(standing: Standing, now: datetime) -> Standing:
    """A token request was answered, whatever was said: the server can be reached, and is not silent."""
    standing = _answered(standing)
    return heal(standing, now) if standing.noted is not None and standing.noted.reason == "Unreachable" else standing


def pass_on(standing: Standing, now: datetime) -> Standing:
    """What a token request has shown may be one grant's own: where one at a time tries, the next is another."""
    return standing if standing.circuit is None else replace(standing, circuit=circuits.pass_on(standing.circuit, now))


def note_unanswered(
    standing: Standing, why: str, now: datetime, *, rest: timedelta | None = None, is_safe: bool = False, is_repeated: bool = False
) -> Standing:
    """A token request brought no usable answer; `why` is the word of its outcome.

    Unless it `is_safe`, what it presented may be spent now: a few of those in a row are the server's silence, which one answer ends. One
    that `is_repeated`, for the grant had failed so before, tells nothing by itself; beside two others it counts as they do.
    """
    standing = _rest(standing, now, rest)
    silent = Problem(Reason.UNREACHABLE, SILENT.format(why=why.replace("_", " ")))
    if standing.noted is not None and standing.noted.reason == "Unreachable":
        standing = replace(standing, noted=silent)  # it can be reached; that one at a time tries stays right until it answers
    if is_repeated and (is_safe or standing.unanswered < circuits.SILENT_AFTER - 1):
        return pass_on(standing, now)
    if is_safe:
        return _hold(standing, now)
    standing = replace(standing, unanswered=standing.unanswered + 1, unanswered_at=now)
    if standing.unanswered < circuits.SILENT_AFTER:
        return _hold(standing, now)
    return replace(standing, noted=silent, circuit=circuits.fail(standing.circuit, circuits.SILENCE, now))


def note_sign(standing: Standing, now: datetime) -> Standing:
    """The server answers something again, though no token request: a silent one is tried soon."""
    circuit = circuits.hasten(standing.circuit, now) if standing.circuit is not None else None
    return replace(standing, circuit=circuit, sign_at=now)


def _answered(standing: Standing) -> Standing:
    return replace(standing, unanswered=0, unanswered_at=None) if standing.unanswered else standing


def _hold(standing: Standing, now: datetime) -> Standing:
    return standing if standing.circuit is None else replace(standing, circuit=circuits.hold(standing.circuit, now))


def _rest(standing: Standing, now: datetime, rest: timedelta | None) -> Standing:
    if rest is None:
        return standing
    until = max(now + rest, standing.rests_until or now)
    return replace(standing, rests_until=until, is_long_rest=until - now >= LONG_REST)


def heal(standing: Standing, now: datetime) -> Standing:
    """What was noted counts no more."""
    return standing if standing.noted is None else replace(standing, noted=None, circuit=None, healed_at=now)


def note_change(standing: Standing, now: datetime) -> Standing:
    """Another spec or client secret is used from now on: whatever failed before deserves another try."""
    return replace(standing, healed_at=now, changed_at=now, rejected_by="")


def let_lapse(standing: Standing, *, generation: int, now: datetime) -> Standing:
    """Forget what was noted of another spec, and own that a problem which nobody could try for a while may be over."""
    if standing.rests_until is not None and not now < standing.rests_until <= now + LONGEST_WAIT:
        standing = replace(standing, rests_until=None, is_long_rest=False)
    moments = {name: getattr(standing, name) for name in ("unanswered_at", "healed_at", "changed_at", "sign_at")}
    standing = replace(standing, **{name: min(moment, now) for name, moment in moments.items() if moment is not None})
    if standing.circuit is None:
        return standing
    if standing.generation != generation:
        return heal(standing, now)
    return replace(standing, circuit=circuits.lapse(standing.circuit, now))


def judge_connector(standing: Standing) -> tuple[Verdict, ...]:
    """The conditions of a connector."""
    if not standing.is_judged:
        return summarize(tuple(pending(kind, "The controller has not looked yet.") for kind in ("Accepted", "ResolvedRefs", "Reachable")))
    return summarize(
        (
            _verdict("Accepted", Reason.ACCEPTED, standing.metadata_problem),
            _verdict("ResolvedRefs", Reason.RESOLVED_REFS, standing.secret_problem or standing.fallback_problem),
            _judge_reach(standing),
        )
    )


def _judge_reach(standing: Standing) -> Verdict:
    """Nobody was asked where no server is named."""
    if standing.metadata_problem is not None and standing.metadata_problem.reason is Reason.UNKNOWN_PROVIDER:
        return pending("Reachable", "No server is known that could be reached.")
    if standing.is_untested and standing.noted is not None and standing.circuit is not None and standing.fetch_problem is None:
        return pending(
            "Reachable",
            f"Last seen at {to_text(standing.circuit.tried_at)}: {standing.noted.reason}. Nothing has shown since then whether that still "
            "holds; the next consent or refresh may.",
        )
    if standing.reach_problem is not None:
        return _verdict("Reachable", Reason.REACHABLE, standing.reach_problem)
    said = ""
    if standing.rests_until is not None and standing.is_long_rest:
        said = f"The server asked to be left alone until {to_text(standing.rests_until)}."
    elif standing.fallback_secret is not None and standing.rejected_secret == standing.secret:
        said = "The server rejects the first client secret; the fallback is in use. Replace the first."
    return true("Reachable", Reason.REACHABLE, said)


def _verdict(kind: str, otherwise: Reason, problem: Problem | None) -> Verdict:
    return true(kind, otherwise) if problem is None else false(kind, problem.reason, problem.message)
