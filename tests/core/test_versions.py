from __future__ import annotations

import pytest

from grantkeeper.core.versions import went_back


@pytest.mark.parametrize(
    ("known", "read", "back"),
    [
        pytest.param("9", "9", False, id="the same"),
        pytest.param("9", "10", False, id="newer, as a number"),
        pytest.param("10", "9", True, id="older"),
        pytest.param(None, "9", False, id="nothing was known"),
        pytest.param("9", None, False, id="nothing is there"),
    ],
)
def test_whether_a_cluster_was_restored(known: str | None, read: str | None, back: bool) -> None:
    assert went_back(known, read) is back
