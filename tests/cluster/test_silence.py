"""An authorization server that takes tokens and does not answer: on real parts, no consent is used up by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.stage import Stage, condition
from grantkeeper.core.circuits import SILENT_AFTER

GRANTS, AT_ONCE = 10, 3


@pytest.fixture
def ignoring(stage: Stage) -> Iterator[Stage]:
    """A stage whose server may be told to ignore what it takes."""
    yield stage
    stage.auth_server.heed()


def test_a_server_that_does_not_answer_costs_no_consent_and_all_go_on_with_its_first_answer(ignoring: Stage) -> None:
    stage, names = ignoring, [f"user-{number}" for number in range(GRANTS)]
    stage.add_connector(lifetime=24, limits={"concurrency": AT_ONCE})
    for name in names:
        stage.add_grant(name)
    for name in names:
        stage.consent(name)
    for name in names:
        stage.wait_ready(name)
    stage.auth_server.ignore()
    silent = stage.wait_connector("calendar", lambda c: condition(c, "Reachable")["status"] == "False", within=60)
    assert "the last time: no answer. Nobody needs to do anything" in condition(silent, "Reachable")["message"]
    assert condition(silent, "Stalled")["status"] == "Unknown"
    for name in names:
        expired = stage.wait_reason(name, "RefreshFailing")
        assert condition(expired, "Authorized")["status"] == "True"
    claims = [claim for name in names if (claim := stage.claim(name)) is not None]
    assert SILENT_AFTER <= len(claims) <= stage.auth_server.ignored(stage.client_id) <= AT_ONCE + SILENT_AFTER
    assert {claim["presentations"] for claim in claims} == {1}, "the last presentation is kept for when there are answers"
    stage.auth_server.heed()
    for name in names:
        stage.wait_ready(name, within=150)
    stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    presented = stage.presented()
    assert len(presented) == len(set(presented)), "a refresh token was worked off twice"
    assert not any(entry["error"] for entry in stage.auth_server.ledger(stage.client_id))
