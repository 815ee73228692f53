"""kubectl's tables on narrow terminals."""

from __future__ import annotations

import pytest

from demo import tables

TABLE = """\
NAME             CONNECTOR   USER                TOKEN      READY   REASON            EXPIRES   AGE
alice-calendar   calendar    alice@example.com   Inactive   False   AwaitingConsent             3s
"""


@pytest.mark.parametrize(
    ("width", "heading", "left_out"),
    [
        pytest.param(None, "NAME CONNECTOR USER TOKEN READY REASON EXPIRES AGE", (), id="no terminal"),
        pytest.param(99, "NAME CONNECTOR USER TOKEN READY REASON EXPIRES AGE", (), id="just wide enough"),
        pytest.param(98, "NAME USER TOKEN READY REASON EXPIRES AGE", ("CONNECTOR",), id="one column too narrow"),
        pytest.param(80, "NAME TOKEN READY REASON EXPIRES", ("CONNECTOR", "AGE", "USER"), id="a terminal of old"),
        pytest.param(10, "NAME TOKEN READY REASON EXPIRES", ("CONNECTOR", "AGE", "USER"), id="what matters stays, whatever the width"),
    ],
)
def test_columns_go_until_it_fits(width: int | None, heading: str, left_out: tuple[str, ...]) -> None:
    fitting, gone = tables.fit(TABLE, width)
    assert fitting.splitlines()[0].split() == heading.split()
    assert gone == left_out


def test_what_fits_is_not_touched() -> None:
    assert tables.fit(TABLE, 100)[0] == TABLE.rstrip("\n")


def test_an_empty_cell_keeps_its_place() -> None:
    fitting, _ = tables.fit(TABLE, 98)
    assert fitting.splitlines()[1].split() == ["alice-calendar", "alice@example.com", "Inactive", "False", "AwaitingConsent", "3s"]
    assert fitting.splitlines()[1].index("3s") == fitting.splitlines()[0].index("AGE")


def test_only_the_age_is_without_meaning() -> None:
    assert tables.without_age(TABLE) == tables.without_age(TABLE.replace("3s", "4s"))
    assert tables.without_age(TABLE) != tables.without_age(TABLE.replace("False", "True "))
