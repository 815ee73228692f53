from __future__ import annotations

import pytest

from grantkeeper import failpoints


def test_without_the_variable_nothing_is_remembered() -> None:
    assert failpoints._WANTED is None  # noqa: SLF001  # it is all that a step costs
    failpoints.reach("refresh.sent")


@pytest.mark.parametrize(
    ("stated", "reached"),
    [
        pytest.param("refresh.sent:raise", [True, True, True], id="every time"),
        pytest.param("refresh.sent:raise@2", [False, True, False], id="the second time"),
        pytest.param("refresh.noted:raise", [False, False, False], id="another one"),
    ],
)
def test_when_a_failpoint_acts(stated: str, reached: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_WANTED", failpoints._Wanted(stated))  # noqa: SLF001
    assert [_acts() for _ in reached] == reached


def _acts() -> bool:
    try:
        failpoints.reach("refresh.sent")
    except failpoints.FailpointReached:
        return True
    return False
