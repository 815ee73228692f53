from __future__ import annotations

import pytest

from bench.figures import Bound, Figure, Of, find_faults
from bench.screen import draw


def _figure(value: float | None, anchor: float | None, bound: Bound | None, skipped: str = "") -> Figure:
    return Figure("CPU", "ms", value, anchor, "a bare PATCH", bound, skipped)


@pytest.mark.parametrize(
    ("figure", "fault"),
    [
        pytest.param(_figure(8.0, 1.0, Bound(8, Of.RATIO)), None, id="a ratio on its bound keeps it"),
        pytest.param(_figure(8.5, 1.0, Bound(8, Of.RATIO)), "CPU: 8.50 × a bare PATCH, and at most 8 × are allowed.", id="a ratio over"),
        pytest.param(_figure(300.0, 1.0, Bound(250, Of.VALUE)), "CPU: 300 ms, and at most 250 ms are allowed.", id="a value over"),
        pytest.param(
            _figure(0.89, 1.0, Bound(0.9, Of.RATIO, at_least=True)), "CPU: 0.89 × a bare PATCH, and at least 0.9 × are allowed.", id="under"
        ),
        pytest.param(_figure(99.0, 1.0, None), None, id="without a bound nothing can be wrong"),
        pytest.param(_figure(99.0, None, Bound(8, Of.RATIO)), "CPU: there is nothing to hold against its bound.", id="no anchor"),
        pytest.param(_figure(99.0, 0.0, Bound(8, Of.RATIO)), "CPU: there is nothing to hold against its bound.", id="an anchor of nothing"),
        pytest.param(_figure(None, 1.0, Bound(8, Of.VALUE)), "CPU: there is nothing to hold against its bound.", id="not measured"),
        pytest.param(_figure(99.0, None, Bound(1, Of.RATIO), skipped="no cap"), None, id="skipped, and the table says so"),
        pytest.param(_figure(0.0, 20.0, Bound(0, Of.VALUE)), None, id="nothing is at most nothing"),
        pytest.param(_figure(float("inf"), 1.0, Bound(250, Of.VALUE)), "CPU: inf ms, and at most 250 ms are allowed.", id="without end"),
    ],
)
def test_bounds(figure: Figure, fault: str | None) -> None:
    assert find_faults([figure]) == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        pytest.param(_figure(5.0, 2.0, Bound(8, Of.RATIO)), ["CPU", "5 ms", "2 ms a bare PATCH", "2.50", "≤ 8 ×", "kept"], id="kept"),
        pytest.param(_figure(50.0, 2.0, Bound(8, Of.RATIO)), ["CPU", "50 ms", "2 ms a bare PATCH", "25.00", "≤ 8 ×", "over"], id="over"),
        pytest.param(_figure(5.0, 2.0, None), ["CPU", "5 ms", "2 ms a bare PATCH", "2.50", "", ""], id="no bound"),
        pytest.param(
            _figure(5.0, None, Bound(0.9, Of.RATIO, at_least=True), skipped="there is no cap"),
            ["CPU", "5 ms", "", "", "≥ 0.9 ×", "skipped: there is no cap"],
            id="skipped, visibly",
        ),
        pytest.param(_figure(12345.6, None, None), ["CPU", "12,346 ms", "", "", "", ""], id="thousands"),
    ],
)
def test_table(figure: Figure, line: list[str]) -> None:
    assert [cell.strip() for cell in draw([figure]).splitlines()[2].strip("|").split("|")] == line
