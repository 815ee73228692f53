"""The controller killed at the worst moments, on real parts: what the authorization server's ledger shows is what counts.

The server is frozen to stop a refresh between its claim and its first byte, and holds its answers back to stop one after that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cluster.stage import Stage, condition, status


def test_killed_between_two_refreshes(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=16))["tokenGeneration"]
    with _no_gap(stage):
        generation = status(stage.wait_refreshed("alice", generation))["tokenGeneration"]
        stage.installation.controller.kill()
        stage.installation.controller.start()
        stage.wait_refreshed("alice", generation + 1, within=40)
    assert len(stage.presented()) == len(set(stage.presented())) >= 2


def test_killed_between_claim_and_first_byte(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=40))["tokenGeneration"]
    with _no_gap(stage):
        _wait_due(stage)
        stage.auth_server.freeze()
        try:
            _wait_claimed(stage)
            stage.installation.controller.kill()
        finally:
            stage.auth_server.thaw()
        assert stage.presented() == []
        stage.installation.controller.start()
        stage.wait_refreshed("alice", generation, within=30)
    assert len(stage.presented()) == 1


def test_killed_after_the_first_byte_presents_once_more_and_never_a_third_time(stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    _kill_after_first_byte(stage)
    stage.installation.controller.start()
    stage.wait_reason("alice", "ReauthorizationRequired", within=30)
    assert stage.presented() == [stage.presented()[0]] * 2
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    stage.consent()
    stage.wait_ready()
    assert stage.presented() == [stage.presented()[0]] * 2


def test_killed_again_during_the_retry_presents_no_third_time(stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    _kill_after_first_byte(stage)
    stage.auth_server.hold()
    try:
        stage.installation.controller.start()
        _wait(lambda: stage.auth_server.held() > 0, 30)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    stage.installation.controller.start()
    exhausted = stage.wait_reason("alice", "ReauthorizationRequired", within=30)
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    time.sleep(5)  # the absence of a third presentation has no condition to wait on
    assert stage.presented() == [stage.presented()[0]] * 2
    assert condition(exhausted, "Authorized")["status"] == "False"
    stage.consent()
    stage.wait_ready()


def test_killed_while_a_code_is_redeemed_presents_it_once(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant()
    first = stage.link()
    stage.auth_server.hold()
    try:
        person = threading.Thread(target=stage.consent)
        person.start()
        _wait(lambda: stage.auth_server.held() > 0, 20)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    stage.installation.controller.start()
    stage.wait_grant("alice", lambda g: status(g).get("consentURL") not in {None, first}, within=30)
    person.join(60)
    stage.wait_reason("alice", "ExchangeFailed")
    codes = [entry["presented"] for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "authorization_code"]
    assert len(codes) == 1
    stage.consent()
    stage.wait_ready()


def _kill_after_first_byte(stage: Stage) -> None:
    _wait_due(stage)
    stage.auth_server.hold()
    try:
        _wait(lambda: stage.auth_server.held() > 0, 30)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    assert len(stage.presented()) == 1


def _wait_due(stage: Stage) -> None:
    """Return shortly before the next refresh is due, so that nothing else of the server is disturbed."""
    due = datetime.fromisoformat(status(stage.wait_ready())["nextRefreshTime"])
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() - 1))


def _wait_claimed(stage: Stage) -> None:
    _wait(lambda: stage.claim() is not None, 20)


def _wait(holds: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@contextmanager
def _no_gap(stage: Stage) -> Iterator[None]:
    """Fail when the delivered token has run out at any moment in between."""
    done, gaps = threading.Event(), []

    def look() -> None:
        while not done.wait(0.2):
            expires_at = datetime.fromisoformat(stage.delivered()["expires_at"])
            if expires_at <= datetime.now(UTC):
                gaps.append(expires_at)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        done.set()
        looker.join()
    assert gaps == []
