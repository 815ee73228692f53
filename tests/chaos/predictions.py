"""What must come of a kill at each step of the protocol, with each kind of server: a table to hold the operator to.

It is written from the protocol, not from the code: what is claimed and not known to be stored may have been sent; what may have been
sent may be spent; what may be spent is presented again only where that is harmless, or when nothing of use can be lost by it; what
was journaled is stored by the next life.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chaos.families import Manner

ALL = tuple(Manner)
UNFORGIVING = (Manner.STRICT, Manner.FAMILY)
"""Servers that refuse a spent token for ever."""


class Course(StrEnum):
    """What is under way when the process is killed."""

    REFRESH = "refresh"
    EXCHANGE = "exchange"
    RELEASE = "release"
    FROZEN = "frozen"
    """A refresh that is frozen, and not killed, while another holder takes over, refreshes too, and stores what it gained."""


class End(StrEnum):
    """What becomes of the grant without anybody's help."""

    READY = "ready"
    """A live token is delivered."""
    ASKED = "asked"
    """The person is asked again: ReauthorizationRequired, or ExchangeFailed where no tokens were held before."""
    GONE = "gone"
    """It was deleted, and nothing of it is left."""


class Row(NamedTuple):
    """One crash: at which failpoint, during what."""

    course: Course
    failpoint: str


class Outcome(NamedTuple):
    """What comes of one crash with one kind of server."""

    end: str
    """An `End`; or, seen, the reason of a grant that is at none."""
    presented: int
    """How often the refresh token, or the code, was presented: a request that the server worked off."""
    journaled: bool = False
    """Whether the next life found an entry in the journal."""
    patient: bool = False
    """Whether it is presented again only when nothing of use can be lost by it."""
    ended: bool = False
    """Whether the consent is over at the server: revoked, or ended by a token that was spent."""
    aside: bool = False
    """Whether a set that came second was kept aside."""

    def __str__(self) -> str:
        marks = (("J", self.journaled), ("W", self.patient), ("†", self.ended), ("R", self.aside))
        return " ".join([self.end, str(self.presented), *(mark for mark, holds in marks if holds)])


LEGEND = {
    "ready": "a live token is delivered, and nobody was asked",
    "asked": "the person is asked again",
    "gone": "deleted, and nothing of it is left",
    "1": "how often the refresh token, or the code, reached the server",
    "J": "the next life found it in the journal",
    "W": "presented again only when nothing of use could be lost by it",
    "†": "the consent is over at the server",
    "R": "a set that came second is kept aside",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a course, and what is known when the process dies there."""

    failpoint: str
    is_claimed: bool = False
    is_sent: bool = False
    is_known: bool = False
    """What came of it is on the disk or in the cluster."""
    is_in_journal: bool = False
    is_refused: bool = False
    """The server is made to refuse what is presented first: a code for good, a refresh token for now."""


REFRESH = (
    Step("refresh.planned"),
    Step("refresh.opened"),
    Step("refresh.prepared"),
    Step("refresh.claimed", is_claimed=True),
    Step("refresh.sending", is_claimed=True),
    Step("refresh.sent", is_claimed=True, is_sent=True),
    Step("refresh.answered", is_claimed=True, is_sent=True),
    Step("refresh.sealed", is_claimed=True, is_sent=True),
    Step("refresh.noting", is_claimed=True, is_sent=True, is_refused=True),
    Step("refresh.noted", is_sent=True, is_known=True, is_refused=True),
    Step("commit.journaled", is_claimed=True, is_sent=True, is_known=True, is_in_journal=True),
    Step("commit.stored", is_sent=True, is_known=True, is_in_journal=True),
    Step("commit.forgotten", is_sent=True, is_known=True),
    Step("deliver.writing", is_sent=True, is_known=True),
    Step("deliver.written", is_sent=True, is_known=True),
    Step("report.writing", is_sent=True, is_known=True),
    Step("report.written", is_sent=True, is_known=True),
)
EXCHANGE = (
    Step("exchange.held"),
    Step("exchange.claimed", is_claimed=True),
    Step("exchange.sending", is_claimed=True),
    Step("exchange.sent", is_claimed=True, is_sent=True),
    Step("exchange.answered", is_claimed=True, is_sent=True),
    Step("exchange.identified", is_claimed=True, is_sent=True),
    Step("exchange.sealed", is_claimed=True, is_sent=True),
    Step("exchange.noting", is_claimed=True, is_sent=True, is_refused=True),
    Step("exchange.noted", is_sent=True, is_known=True, is_refused=True),
    Step("commit.journaled", is_claimed=True, is_sent=True, is_known=True, is_in_journal=True),
    Step("commit.stored", is_sent=True, is_known=True, is_in_journal=True),
    Step("redeem.forgetting", is_sent=True, is_known=True),
    Step("deliver.writing", is_sent=True, is_known=True),
)
FROZEN = (Step("commit.journaled"),)
RELEASE = (Step("release.revoked"), Step("release.withdrawn"), Step("release.removed"))


def predict_refresh(step: Step, manner: Manner) -> Outcome:
    """A refresh token: it may be presented once more after an answer that did not arrive, and never a third time."""
    presented = int(step.is_sent)
    if step.is_known and not step.is_refused:
        return Outcome(End.READY, presented, journaled=step.is_in_journal)
    is_in_doubt = step.is_claimed and manner in UNFORGIVING
    if is_in_doubt and step.is_sent and not step.is_refused:  # it was spent, and its successor is lost
        return Outcome(End.ASKED, presented + 1, patient=True, ended=manner is Manner.FAMILY)
    return Outcome(End.READY, presented + 1, patient=is_in_doubt)


def predict_exchange(step: Step, _: Manner) -> Outcome:
    """A code: it is presented once, and what became of one that is in doubt is never asked (RFC 6749 section 4.1.2)."""
    if step.is_refused or (step.is_claimed and not step.is_known):
        return Outcome(End.ASKED, int(step.is_sent))
    return Outcome(End.READY, 1, journaled=step.is_in_journal)


def predict_release(_: Step, __: Manner) -> Outcome:
    """A grant that is deleted: revoked, and its traces removed, however often it is begun."""
    return Outcome(End.GONE, 0, ended=True)


def predict_rivalry(_: Step, __: Manner) -> Outcome:
    """Both were given a successor: the one that was stored first stays, and the other is nobody's to throw away."""
    return Outcome(End.READY, 2, aside=True)


COURSES = {
    Course.REFRESH: (REFRESH, predict_refresh),
    Course.EXCHANGE: (EXCHANGE, predict_exchange),
    Course.RELEASE: (RELEASE, predict_release),
    Course.FROZEN: (FROZEN, predict_rivalry),
}
RIVALS_AT = (Manner.KEPT, Manner.LEEWAY)
"""Elsewhere a second holder is given nothing."""
STEPS: dict[Row, Step] = {Row(course, step.failpoint): step for course, (steps, _) in COURSES.items() for step in steps}
TABLE: dict[tuple[Row, Manner], Outcome] = {
    (Row(course, step.failpoint), manner): predict(step, manner)
    for course, (steps, predict) in COURSES.items()
    for step in steps
    for manner in (RIVALS_AT if course is Course.FROZEN else ALL)
}
