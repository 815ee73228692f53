from __future__ import annotations

import pytest

from chaos import rules
from chaos.archive import CODE
from chaos.rules import find_breaches
from chaos.strewn import A, B, Strewn, call, cut, dropped, kill, late, refused, stop


def broken(strewn: Strewn) -> set[str]:
    return {breach.rule for breach in find_breaches(strewn.archive)}


def twice(spending: object, again: float, *, pods: tuple[str, str] = (A, A), claims_at: tuple[float, float] = (99.9, 110.0)) -> Strewn:
    """r1 is claimed and presented, and once more later, when it is refused."""
    strewn = Strewn().store(1).claim("r1", "first", at=claims_at[0], pod=pods[0])
    strewn.claim("r1", "first", at=claims_at[1] - 0.1, pod=pods[0], lost=True) if pods[0] == pods[1] else None
    return strewn.claim("r1", "second", at=claims_at[1], pod=pods[1]).calls(spending, refused("r1", again))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strewn", "expected"),
    [
        pytest.param(twice(cut("r1", 100), 111), set(), id="the answer was cut"),
        pytest.param(twice(late("r1", 100), 111), set(), id="the answer came when nobody waited any more"),
        pytest.param(twice(late("r1", 100, gone_after=3), 111), {rules.AGAIN}, id="nobody waited although there was time"),
        pytest.param(twice(call("r1", 100), 111), {rules.AGAIN}, id="it was answered, and nothing happened to anybody"),
        pytest.param(twice(call("r1", 100), 111).mishaps(kill(100.1)), set(), id="killed before the journal"),
        pytest.param(twice(call("r1", 100), 111).mishaps(kill(100.1, B)), {rules.AGAIN}, id="another one was killed"),
        pytest.param(twice(call("r1", 100), 111).mishaps(kill(99.0)), {rules.AGAIN}, id="killed before it was presented"),
        pytest.param(twice(call("r1", 100), 111).mishaps(kill(104.0)), {rules.AGAIN}, id="killed long after"),
        pytest.param(
            twice(call("r1", 100), 111).mishaps(stop(100.1, 4), kill(104.2)), set(), id="killed long after, and stood still between"
        ),
        pytest.param(
            twice(call("r1", 100), 111).mishaps(kill(100.1, journal=("r1",))), {rules.AGAIN}, id="in the journal of a Pod that lived"
        ),
        pytest.param(
            twice(call("r1", 100), 111).mishaps(kill(102, journal=("r1",), lost=True)), set(), id="in the journal of a Pod that was lost"
        ),
        pytest.param(
            twice(call("r1", 100), 136, pods=(A, B), claims_at=(99.9, 135.2)), set(), id="taken over when the claim was old enough"
        ),
        pytest.param(
            twice(call("r1", 100), 121, pods=(A, B), claims_at=(99.9, 120)).mishaps(kill(100.1)), {rules.AT_ONCE}, id="taken over too soon"
        ),
    ],
)  # fmt: skip
def test_a_spent_token_that_is_presented_again(strewn: Strewn, expected: set[str]) -> None:
    assert broken(strewn) == expected


def test_who_takes_over_too_soon_has_no_excuse_and_neither_has_a_claim_of_ones_own() -> None:
    assert broken(twice(call("r1", 100), 121, pods=(A, B), claims_at=(99.9, 120))) == {rules.AT_ONCE, rules.AGAIN}
    assert broken(twice(call("r1", 100), 136, pods=(A, A), claims_at=(99.9, 135.2))) == {rules.AGAIN}


def test_what_was_stored_excuses_nothing() -> None:
    strewn = Strewn().store(1).claim("r1", "first").store(2).claim("r1", "second", generation=2)
    assert broken(strewn.calls(cut("r1", 100), refused("r1", 111))) == {rules.AGAIN}


@pytest.mark.parametrize(
    ("strewn", "expected"),
    [
        pytest.param(Strewn().store(1).claim("r1", "one").calls(call("r1", 1)), set(), id="claimed, and presented once"),
        pytest.param(Strewn().store(1).calls(call("r1", 1)), {rules.UNCLAIMED}, id="not claimed"),
        pytest.param(Strewn().store(1).claim("r2", "one").calls(call("r1", 1)), {rules.UNCLAIMED}, id="another one was claimed"),
        pytest.param(
            Strewn().store(1).claim("r1", "one").calls(dropped("r1", 1), call("r1", 2)), {rules.UNCLAIMED}, id="claimed only once"
        ),
        pytest.param(
            Strewn().store(1).claim("r1", "1").claim("r1", "2").claim("r1", "3").calls(dropped("r1", 1), dropped("r1", 2), call("r1", 3)),
            {rules.THRICE},
            id="presented three times",
        ),
        pytest.param(
            Strewn().store(1).claim("r1", "1").claim("r1", "2").calls(late("r1", 1), refused("r1", 5)),
            {rules.AT_ONCE},
            id="the first one was still waiting",
        ),
        pytest.param(
            Strewn().claim("r1", "1").calls(call("r1", 1, grant_type=CODE), call("r1", 9, grant_type=CODE, was_spent=True)),
            {rules.CODE_TWICE},
            id="a code twice",
        ),
        pytest.param(Strewn().calls(refused("r1", 1)._replace(account="")), {rules.STRANGE}, id="nobody was ever given it"),
    ],
)  # fmt: skip
def test_presentations(strewn: Strewn, expected: set[str]) -> None:
    assert broken(strewn) == expected


@pytest.mark.parametrize(
    ("strewn", "expected"),
    [
        pytest.param(Strewn().claim("r1", "one", pod=A).claim("r1", "two", at=40, pod=B), set(), id="a claim that stood for 35 s"),
        pytest.param(Strewn().claim("r1", "one", pod=A).claim("r1", "two", at=20, pod=B), {rules.AT_ONCE}, id="one that did not"),
        pytest.param(Strewn().claim("r1", "one", pod=A).claim("c1", "two", at=20, pod=B), set(), id="a code of another consent"),
        pytest.param(Strewn().claim("r1", "one", pod=A).claim("r1", "two", at=2, pod=A), set(), id="of an earlier life of this Pod"),
        pytest.param(Strewn().claim("r1", "one", pod=A, lost=True).claim("r1", "two", at=2, pod=B), set(), id="one that says it is over"),
        pytest.param(Strewn().claim("r1", "one", pod=A).store(1).claim("r1", "two", at=2, pod=B), set(), id="one that was cleared"),
        pytest.param(
            Strewn().claim("r1", "one", pod=A).claim("r1", "one", at=30, pod=A).claim("r1", "two", at=36, pod=B),
            set(),
            id="its age counts from when it was first seen",
        ),
    ],
)
def test_claims_of_others(strewn: Strewn, expected: set[str]) -> None:
    assert broken(strewn) == expected


@pytest.mark.parametrize(
    ("strewn", "expected"),
    [
        pytest.param(Strewn().store(1).store(2).deliver(2).report(2), set(), id="sealed, delivered, reported"),
        pytest.param(Strewn().store(1).store(2).store(1), {rules.TURNED_BACK}, id="a sealed set goes back"),
        pytest.param(Strewn().store(2).store(2, tokenset="another"), {rules.TURNED_BACK}, id="one set is replaced by its sibling"),
        pytest.param(Strewn().store(2).deliver(2).deliver(1), {rules.TURNED_BACK}, id="a delivered Secret goes back"),
        pytest.param(Strewn().store(2).deliver(1).deliver(0, token="").deliver(2), set(), id="a delivered Secret is made anew"),
        pytest.param(Strewn().store(2).deliver(2).report(2).report(1, ready=False), {rules.TURNED_BACK}, id="a status goes back"),
        pytest.param(Strewn().store(1).report(2, ready=False), {rules.UNTRUE}, id="reported before it was sealed"),
        pytest.param(Strewn().store(2).deliver(1).report(2), {rules.UNTRUE}, id="Ready before it was delivered"),
        pytest.param(Strewn().store(2).deliver(1).report(2, ready=False), set(), id="not delivered yet, and not called ready"),
        pytest.param(Strewn().store(2).deliver(2).report(2, expires="late"), {rules.UNTRUE}, id="another expiry than the delivered one"),
    ],
)
def test_nothing_is_turned_back_and_what_is_said_is_true(strewn: Strewn, expected: set[str]) -> None:
    assert broken(strewn) == expected


def test_a_story_tells_what_was_presented_when() -> None:
    strewn = Strewn().store(1).claim("r1", "one").calls(call("r1", 100), refused("r1", 111))
    story = next(breach.story for breach in find_breaches(strewn.archive) if breach.rule == rules.AGAIN)
    assert story.startswith("alice#1 r1: +0.00…+0.00 answered given; +11.00…+11.00 answered spent invalid_grant")
