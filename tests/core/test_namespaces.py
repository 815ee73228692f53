"""Which namespaces are kept."""

from __future__ import annotations

import pytest

from grantkeeper.core.namespaces import Scope


@pytest.mark.parametrize(
    ("listed", "namespace", "keeps"),
    [
        pytest.param((), "team-a", True, id="none is listed: every one"),
        pytest.param(("team-a",), "team-a", True, id="a listed one"),
        pytest.param(("team-a",), "team-b", False, id="another one"),
        pytest.param(("team-a",), "grantkeeper", True, id="the operator's own, which nobody has to list"),
    ],
)
def test_scope(listed: tuple[str, ...], namespace: str, keeps: bool) -> None:
    assert Scope("grantkeeper", frozenset(listed)).keeps(namespace) is keeps


def test_rights_in_the_operators_namespace_are_its_own() -> None:
    scope = Scope("grantkeeper", frozenset({"grantkeeper", "team-a"}))
    assert scope.tenants == {"team-a"}
    assert not scope.is_everything
