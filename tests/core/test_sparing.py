"""Who is spared when a grant's tokens are revoked."""

from __future__ import annotations

import pytest

from grantkeeper.core.sparing import Sibling, may_revoke


@pytest.mark.parametrize(
    ("account", "siblings", "allowed"),
    [
        pytest.param("alice", (), True, id="alone"),
        pytest.param("alice", (Sibling("bob"),), True, id="another account"),
        pytest.param("alice", (Sibling("bob"), Sibling("alice")), False, id="the same account"),
        pytest.param("alice", (Sibling(None),), False, id="an account that is not known could be this one"),
        pytest.param(None, (), True, id="unknown, and alone"),
        pytest.param(None, (Sibling("bob"),), False, id="unknown, with siblings"),
    ],
)
def test_may_revoke(account: str | None, siblings: tuple[Sibling, ...], allowed: bool) -> None:  # an expectation
    assert may_revoke(account, siblings) is allowed
