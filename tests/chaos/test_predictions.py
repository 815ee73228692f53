from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.families import Manner
from chaos.predictions import STEPS, TABLE, Course, End, Outcome, Row
from grantkeeper import failpoints

OPERATOR = Path(failpoints.__file__).parent


def test_every_failpoint_has_its_row_and_its_place_in_the_code() -> None:
    reached = [name for module in OPERATOR.rglob("*.py") for name in re.findall(r"\breach\(\"([^\"]+)\"\)", module.read_text())]
    assert set(reached) == failpoints.NAMES
    assert {row.failpoint for row in STEPS} == failpoints.NAMES


@pytest.mark.parametrize(
    ("failpoint", "outcomes"),
    [
        pytest.param("refresh.prepared", ["ready 1", "ready 1", "ready 1", "ready 1"], id="X0: nothing has happened"),
        pytest.param("refresh.claimed", ["ready 1", "ready 1", "ready 1 W", "ready 1 W"], id="X1: unspent, looks unknown"),
        pytest.param("refresh.sent", ["ready 2", "ready 2", "asked 2 W", "asked 2 W †"], id="X2, X3: unknown whether spent"),
        pytest.param("refresh.sealed", ["ready 2", "ready 2", "asked 2 W", "asked 2 W †"], id="X4: the window that remains"),
        pytest.param("commit.journaled", ["ready 1 J"] * 4, id="X4': the journal has it"),
        pytest.param("commit.stored", ["ready 1 J"] * 4, id="X5: stored, and not acknowledged"),
        pytest.param("deliver.writing", ["ready 1"] * 4, id="X6: delivery follows from the generation"),
    ],
)
def test_the_windows_of_the_protocol(failpoint: str, outcomes: list[str]) -> None:
    assert [str(TABLE[Row(Course.REFRESH, failpoint), manner]) for manner in Manner] == outcomes


def test_a_code_is_never_presented_twice() -> None:
    assert {outcome.presented for (row, _), outcome in TABLE.items() if row.course is Course.EXCHANGE} == {0, 1}


def test_only_what_may_be_spent_and_is_lost_costs_a_consent() -> None:
    asked = {(row.failpoint, manner) for (row, manner), outcome in TABLE.items() if outcome.end == End.ASKED and _is_refresh(row)}
    lost = ("refresh.sent", "refresh.answered", "refresh.sealed")
    assert asked == {(failpoint, manner) for failpoint in lost for manner in (Manner.STRICT, Manner.FAMILY)}


def test_an_outcome_reads_as_words_and_signs() -> None:
    assert str(Outcome(End.ASKED, 2, patient=True, ended=True)) == "asked 2 W †"


def _is_refresh(row: Row) -> bool:
    return row.course is Course.REFRESH
