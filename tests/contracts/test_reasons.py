"""crds/README.md has every reason that a condition can give, where it stands, and what is to be done; and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from contracts.schemas import CRDS
from grantkeeper.core.asking import REFUSALS
from grantkeeper.core.reasons import OF_A_CONNECTOR, OF_A_GRANT, STALLED, Reason, Reasons

TEXT = (CRDS / "README.md").read_text()
KINDS: dict[str, Mapping[str, Reasons]] = {"Of a UserGrant": OF_A_GRANT, "Of an OAuthConnector": OF_A_CONNECTOR}


@dataclass(frozen=True)
class Row:
    """One row of the tables: `condition` is None for any."""

    condition: str | None
    reason: str
    is_stalled: bool
    meaning: str
    remedy: str


def read_table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    found = re.search(rf"^### {re.escape(heading)}\n(?:[^|#\n].*\n|\n)*((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, f"there is no table under {heading}"
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in found[1].splitlines()[2:]]


def read_rows(heading: str) -> list[Row]:
    """The rows of one kind."""
    return [_read_row(cells) for cells in read_table(heading)]


def _read_row(cells: list[str]) -> Row:
    condition, reason, meaning, remedy = cells
    named = re.fullmatch(r"`(\w+)`( \(stalled\))?", reason)
    assert named is not None, reason
    return Row(None if condition == "any" else condition.strip("`"), named[1], bool(named[2]), meaning, remedy.strip("| "))


@pytest.mark.parametrize("heading", KINDS)
def test_tables_and_code_have_the_same_reasons_in_the_same_places(heading: str) -> None:
    written = [(row.condition, row.reason) for row in read_rows(heading)]
    listed = {(name, reason) for name, said in KINDS[heading].items() for reason in said.when_true | said.when_false}
    assert set(written) == listed | {("Ready", "Ready"), (None, "Pending")}
    assert len(written) == len(set(written)), "a reason is there twice"


@pytest.mark.parametrize("heading", KINDS)
def test_tables_are_in_the_order_in_which_ready_looks(heading: str) -> None:
    written = [row.condition for row in read_rows(heading)]
    assert list(dict.fromkeys(written)) == ["Ready", None, *KINDS[heading]]


@pytest.mark.parametrize("heading", KINDS)
def test_tables_say_which_reasons_stall(heading: str) -> None:
    rows = read_rows(heading)
    assert {row.reason for row in rows if row.is_stalled} == STALLED & {row.reason for row in rows}


@pytest.mark.parametrize("heading", KINDS)
def test_what_is_to_be_done_is_said_of_all_that_does_not_hold(heading: str) -> None:
    holding = {Reason.READY} | {reason for said in KINDS[heading].values() for reason in said.when_true}
    silent = {row.reason for row in read_rows(heading) if not re.search(r"\w", row.remedy)}
    assert silent <= holding
    assert [row.reason for row in read_rows(heading) if not row.meaning] == []


def test_other_systems_words_are_of_reasons_that_there_are() -> None:
    named = [reason for cells in read_table("In other systems' words") for reason in re.findall(r"`(\w+)`", cells[0])]
    assert named
    assert set(named) <= set(Reason)
    assert len(named) == len(set(named))
    failing = {reason for conditions in KINDS.values() for said in conditions.values() for reason in said.when_false}
    assert set(named) <= failing


def test_a_refusal_is_a_reason_of_authorized() -> None:
    assert REFUSALS.keys() <= OF_A_GRANT["Authorized"].when_false
