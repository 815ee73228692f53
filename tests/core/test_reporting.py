from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from grantkeeper.core.reporting import patch_status
from grantkeeper.resources import Account, OAuthConnectorStatus, ServerStatus, UserGrantStatus

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
FULL = ServerStatus(issuer="https://login.example.com", authorization_endpoint="https://login.example.com/a", features=("Refresh",))


@pytest.mark.parametrize(
    ("current", "desired", "changes"),
    [
        pytest.param(UserGrantStatus(token_generation=1), UserGrantStatus(token_generation=1), None, id="the same"),
        pytest.param(UserGrantStatus(granted_scopes=()), UserGrantStatus(), None, id="an empty list is none"),
        pytest.param(UserGrantStatus(), UserGrantStatus(token_generation=1), {"tokenGeneration": 1}, id="one that comes"),
        pytest.param(UserGrantStatus(expiration_time=NOW), UserGrantStatus(), {"expirationTime": None}, id="one that goes"),
        pytest.param(
            OAuthConnectorStatus(server=FULL),
            OAuthConnectorStatus(server=FULL.model_copy(update={"features": ()})),
            {"server": {"features": None}},
            id="one that goes from an object that stays",
        ),
        pytest.param(
            UserGrantStatus(account=Account(subject="a", email="a@example.com")),
            UserGrantStatus(account=Account(subject="b", name="B")),
            {"account": {"subject": "b", "email": None, "name": "B"}},
            id="an object in which everything changes",
        ),
        pytest.param(
            UserGrantStatus(granted_scopes=("a", "b")), UserGrantStatus(granted_scopes=("b",)), {"grantedScopes": ["b"]}, id="a list, whole"
        ),
    ],
)
def test_patch(
    current: UserGrantStatus | OAuthConnectorStatus, desired: UserGrantStatus | OAuthConnectorStatus, changes: dict[str, Any] | None
) -> None:
    patch = patch_status(current, desired, "7")
    assert patch == (None if changes is None else {"metadata": {"resourceVersion": "7"}, "status": changes})
