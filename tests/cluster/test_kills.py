"""The controller killed at the worst moments, on real parts: what the authorization server's ledger shows is what counts.

The server is frozen to stop a refresh between its claim and its first byte, and holds its answers back to stop one after that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cluster.stage import WITHIN, Stage, condition, status
from parts.waiting import wait_for


def test_killed_between_two_refreshes(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=32))["tokenGeneration"]
    with _no_gap(stage):
        generation = status(stage.wait_refreshed("alice", generation))["tokenGeneration"]
        stage.pause_between_refreshes("alice")
        stage.installation.controller.kill()
        stage.installation.controller.start()
        stage.wait_refreshed("alice", generation + 1)
    assert len(stage.presented()) == len(set(stage.presented())) >= 2


def test_killed_between_claim_and_first_byte(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=60))["tokenGeneration"]
    with _no_gap(stage):
        stage.auth_server.freeze()
        try:
            stage.ask_for_refresh("now")
            wait_for(lambda: stage.claim() is not None, "a claim")
            stage.installation.controller.kill()
        finally:
            stage.auth_server.thaw()
        assert stage.presented() == []
        stage.installation.controller.start()
        stage.wait_refreshed("alice", generation)
    assert len(stage.presented()) == 1


def test_killed_after_the_first_byte_presents_once_more_and_never_a_third_time(stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    spent = _kill_after_first_byte(stage)
    stage.installation.controller.start()
    stage.wait_reason("alice", "ReauthorizationRequired")
    assert stage.presented().count(spent) == 2
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    stage.consent()
    stage.wait_ready()
    assert stage.presented().count(spent) == 2


def test_killed_again_during_the_retry_presents_no_third_time(stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    spent = _kill_after_first_byte(stage)
    stage.auth_server.hold()
    try:
        stage.installation.controller.start()
        wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "the second presentation", within=WITHIN)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    stage.installation.controller.start()
    exhausted = stage.wait_reason("alice", "ReauthorizationRequired")
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    time.sleep(5)  # the absence of a third presentation has no condition to wait on
    assert stage.presented().count(spent) == 2
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
        wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "the code to be presented", within=WITHIN)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    stage.installation.controller.start()
    stage.wait_grant("alice", lambda g: status(g).get("consentURL") not in {None, first})
    person.join(60)
    stage.wait_reason("alice", "ExchangeFailed")
    codes = [entry["presented"] for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "authorization_code"]
    assert len(codes) == 1
    stage.consent()
    stage.wait_ready()


def _kill_after_first_byte(stage: Stage) -> str:
    """The hash of the refresh token that was presented, and whose answer nobody got."""
    stage.auth_server.hold()
    try:
        wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "a refresh to be under way")
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    spent = stage.presented()[-1]
    assert stage.presented().count(spent) == 1
    return spent


@contextmanager
def _no_gap(stage: Stage) -> Iterator[None]:
    """Fail when the delivered token has run out at any moment in between."""
    done, gaps = threading.Event(), []

    def look() -> None:
        while not done.wait(0.2):
            asked_at = datetime.now(UTC)
            expires_at = datetime.fromisoformat(stage.delivered()["expires_at"])
            if expires_at <= asked_at:
                gaps.append(expires_at)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        done.set()
        looker.join()
    assert gaps == []
