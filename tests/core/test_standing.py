"""Connectors judged: what was found becomes conditions that say what to do."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.core.clientsecrets import judge_client_secret
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import (
    Problem,
    Standing,
    judge_connector,
    let_lapse,
    note,
    note_inconclusive,
    note_sign,
    note_unanswered,
)
from grantkeeper.resources import OAuthConnector

SERVER = Endpoints(authorization="https://as/a", token="https://as/t", issuer="https://as")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REJECTED, AWAY = Problem(Reason.CLIENT_REJECTED, "x"), Problem(Reason.UNREACHABLE, "x")
FOUND = Standing(endpoints=SERVER, is_judged=True)


def connector(**spec: Any) -> OAuthConnector:
    return OAuthConnector.read(
        {
            "metadata": {"name": "calendar", "namespace": "team", "uid": "u", "resourceVersion": "1"},
            "spec": {"clientID": "c", "clientSecretRef": {"name": "client"}, "consent": {"link": "Status"}, **spec},
        }
    )


def secret(value: bytes = b"s3cret", *, label: str = "calendar", key: str = "clientSecret") -> dict[str, Any]:
    return {"metadata": {"labels": {"grantkeeper.dev/connector": label}}, "data": {key: base64.b64encode(value).decode()}}


@pytest.mark.parametrize(
    ("standing", "reason", "stalled"),
    [
        pytest.param(Standing(), "Pending", False, id="not looked at"),
        pytest.param(FOUND, "Ready", False, id="all in order"),
        pytest.param(
            Standing(metadata_problem=Problem(Reason.DISCOVERY_FAILED, "x"), is_judged=True),
            "DiscoveryFailed",
            False,
            id="no metadata: it may come",
        ),
        pytest.param(
            Standing(metadata_problem=Problem(Reason.ISSUER_MISMATCH, "x"), is_judged=True),
            "IssuerMismatch",
            True,
            id="another issuer: a person must act",
        ),
        pytest.param(
            Standing(endpoints=SERVER, secret_problem=Problem(Reason.SECRET_NOT_FOUND, "x"), is_judged=True),
            "SecretNotFound",
            True,
            id="no client secret",
        ),
        pytest.param(
            Standing(endpoints=SERVER, fetch_problem=Problem(Reason.UNREACHABLE, "x"), is_judged=True),
            "Unreachable",
            False,
            id="the server is away",
        ),
    ],
)
def test_judge_connector(standing: Standing, reason: str, stalled: bool) -> None:
    verdicts = {verdict.type: verdict for verdict in judge_connector(standing)}
    assert verdicts["Ready"].reason == reason
    assert ("Stalled" in verdicts) is stalled
    assert standing.is_ready is (reason == "Ready")


@pytest.mark.parametrize(
    ("found", "reason", "says"),
    [
        pytest.param(None, "SecretNotFound", "create it", id="missing"),
        pytest.param(secret(label="mail"), "SecretNotOffered", "grantkeeper.dev/connector=calendar", id="offered to another connector"),
        pytest.param({"metadata": {}, "data": {}}, "SecretNotOffered", "label it", id="not labelled at all"),
        pytest.param(secret(key="other"), "SecretKeyMissing", "spec.clientSecretRef.key", id="another key"),
        pytest.param(secret(b"s3cret\n"), "SecretInvalid", "without a newline", id="a newline at the end, as echo leaves"),
        pytest.param(secret(b""), "SecretInvalid", "empty", id="empty"),
        pytest.param(secret("geheim\u00e4".encode()), "SecretInvalid", "ASCII", id="not ASCII"),
    ],
)
def test_a_client_secret_that_will_not_do_says_what_to_do(found: dict[str, Any] | None, reason: str, says: str) -> None:
    judged = judge_client_secret(connector(), found)
    assert isinstance(judged, Problem)
    assert judged.reason == reason
    assert says in judged.message
    assert "s3cret" not in judged.message


def test_a_client_secret_in_order_is_taken() -> None:
    assert judge_client_secret(connector(), secret()) == SecretStr("s3cret")


def test_a_public_client_has_none() -> None:
    public = connector(clientAuthentication="None", clientSecretRef=None)
    assert judge_client_secret(public, None) is None


def test_what_a_token_request_shows_counts_though_the_metadata_can_be_had() -> None:
    away = note(FOUND, AWAY, NOW)
    assert not away.is_ready
    assert judge_connector(away)[-1].reason == "Unreachable"
    assert note(away, None, NOW).is_ready


@pytest.mark.parametrize(
    ("problem", "generation", "after", "reason"),
    [
        pytest.param(REJECTED, 0, timedelta(seconds=79), "ClientRejected", id="rejected: somebody may be trying again at this moment"),
        pytest.param(REJECTED, 0, timedelta(seconds=80), "Pending", id="nobody was due to try again: it is unknown"),
        pytest.param(REJECTED, 1, timedelta(0), "Ready", id="rejected, and the spec has changed since"),
        pytest.param(AWAY, 0, timedelta(seconds=79), "Unreachable", id="away a moment ago"),
        pytest.param(AWAY, 0, timedelta(seconds=80), "Pending", id="away, and nobody was due to try again"),
    ],
)
def test_what_was_noted_lapses(problem: Problem, generation: int, after: timedelta, reason: str) -> None:
    lapsed = let_lapse(note(FOUND, problem, NOW), generation=generation, now=NOW + after)
    ready = next(verdict for verdict in judge_connector(lapsed) if verdict.type == "Ready")
    assert ready.reason == reason
    assert lapsed.is_ready is (reason in {"Pending", "Ready"}), "people may be asked where nothing is known against it"
    assert lapsed.gate.is_narrow is (reason != "Ready"), "one at a time, until something is known for it"


def test_a_connector_that_rests_says_so_and_is_ready() -> None:
    resting = note_inconclusive(FOUND, NOW, rest=timedelta(minutes=30))
    (reachable,) = (verdict for verdict in judge_connector(resting) if verdict.type == "Reachable")
    assert (reachable.holds, reachable.message) == (True, "The server asked to be left alone until 2026-11-21T12:30:00Z.")
    assert resting.gate.opens_at == resting.gate.opens_to_awaited_at == NOW + timedelta(minutes=30)
    assert not resting.gate.is_narrow
    over = let_lapse(resting, generation=0, now=NOW + timedelta(minutes=30))
    assert judge_connector(over) == judge_connector(FOUND)


def test_a_short_rest_is_kept_and_not_said() -> None:
    resting = note_inconclusive(FOUND, NOW, rest=timedelta(seconds=59))
    assert judge_connector(resting) == judge_connector(FOUND)
    assert resting.gate.opens_at == NOW + timedelta(seconds=59)
    assert resting.obstacle(NOW) is None
    assert note_inconclusive(FOUND, NOW, rest=timedelta(minutes=1)).obstacle(NOW) == "Refused"


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    longer = note_inconclusive(FOUND, NOW, rest=timedelta(minutes=30))
    assert note_inconclusive(longer, NOW, rest=timedelta(seconds=1)) == longer
    assert note_inconclusive(longer, NOW + timedelta(minutes=1), rest=timedelta(seconds=1)).rests_until == longer.rests_until


@pytest.mark.parametrize(
    ("problem", "answered", "reason"),
    [
        pytest.param(AWAY, True, "Ready", id="any answer shows that the server can be reached"),
        pytest.param(AWAY, False, "Unreachable", id="no answer does not"),
        pytest.param(REJECTED, True, "ClientRejected", id="an answer that says nothing of the client leaves it rejected"),
        pytest.param(REJECTED, False, "ClientRejected", id="nor does none"),
    ],
)
def test_an_answer_that_shows_nothing_of_the_client(problem: Problem, answered: bool, reason: str) -> None:
    away, later = note(FOUND, problem, NOW), NOW + timedelta(minutes=1)
    shown = note_inconclusive(away, later) if answered else note_unanswered(away, "no_answer", later)
    assert judge_connector(shown)[3].reason == reason
    if reason != "Ready":
        assert shown.gate.opens_at is not None
        assert shown.gate.opens_at > NOW + timedelta(minutes=1), "the next one would follow at once"


FIRST, SECOND = SecretStr("first"), SecretStr("second")


@pytest.mark.parametrize(
    ("rejected", "order"),
    [
        pytest.param(None, (FIRST, SECOND), id="nothing known: as the spec has them"),
        pytest.param(FIRST, (SECOND, FIRST), id="the first was rejected: the second first"),
        pytest.param(SECOND, (FIRST, SECOND), id="the second was rejected"),
        pytest.param(SecretStr("older"), (FIRST, SECOND), id="what was rejected has been replaced"),
    ],
)
def test_the_client_secret_that_was_not_rejected_goes_first(rejected: SecretStr | None, order: tuple[SecretStr, SecretStr]) -> None:
    standing = replace(FOUND, secret=FIRST, fallback_secret=SECOND, rejected_secret=rejected)
    assert standing.secrets == order
    (reachable,) = (verdict for verdict in judge_connector(standing) if verdict.type == "Reachable")
    assert reachable.holds
    assert ("fallback is in use" in reachable.message) is (order[0] is SECOND)


def test_without_a_second_secret_the_rejected_one_is_all_there_is() -> None:
    assert replace(FOUND, secret=FIRST, rejected_secret=FIRST).secrets == (FIRST, None)


def test_a_second_secret_that_will_not_do_is_said_and_the_first_one_serves() -> None:
    judged = judge_client_secret(connector(fallbackClientSecretRef={"name": "next"}), secret(label="mail"), is_fallback=True)
    assert isinstance(judged, Problem)
    assert judged.reason == "SecretNotOffered"
    standing = replace(FOUND, fallback_problem=judged)
    assert judge_connector(standing)[-2].reason == "SecretNotOffered"
    assert standing.is_ready


def test_a_key_that_the_second_secret_lacks_is_named_by_its_own_field() -> None:
    judged = judge_client_secret(connector(fallbackClientSecretRef={"name": "next"}), secret(key="other"), is_fallback=True)
    assert isinstance(judged, Problem)
    assert "spec.fallbackClientSecretRef.key" in judged.message


@pytest.mark.parametrize(
    ("reason", "at", "healed"),
    [
        pytest.param("ClientRejected", NOW, True, id="it failed by what is mended"),
        pytest.param("ClientRejected", NOW + timedelta(hours=1), False, id="it failed after that"),
        pytest.param("ServerError", NOW, True, id="it failed by an error that was reported then"),
        pytest.param("AnswerLost", NOW, False, id="its answer was lost"),
        pytest.param("RequestRejected", NOW, False, id="its own request was rejected: that others succeed mends nothing"),
    ],
)
def test_who_failed_by_what_is_mended_need_not_wait(reason: str, at: datetime, healed: bool) -> None:
    standing = note(note(FOUND, REJECTED, NOW), None, NOW + timedelta(minutes=1))
    assert standing.has_healed_since(reason, at) is healed


SECOND_LATER, HOUR = timedelta(seconds=1), timedelta(hours=1)


def unanswered(times: int, standing: Standing = FOUND, *, is_safe: bool = False) -> Standing:
    """After so many token requests in a row that brought nothing, a second apart from now on."""
    for number in range(times):
        standing = note_unanswered(standing, "no_answer", NOW + number * SECOND_LATER, is_safe=is_safe)
    return standing


SILENT = unanswered(3)


@pytest.mark.parametrize(
    ("standing", "is_silent", "is_narrow"),
    [
        pytest.param(unanswered(1), False, False, id="one is about one token"),
        pytest.param(unanswered(2), False, False, id="two may be chance"),
        pytest.param(SILENT, True, True, id="three are the server"),
        pytest.param(unanswered(9, is_safe=True), False, False, id="what cannot be spent costs nothing, however often"),
        pytest.param(unanswered(2, note_inconclusive(unanswered(2), NOW)), False, False, id="an answer in between"),
        pytest.param(unanswered(2, note(unanswered(2), None, NOW)), False, False, id="a success in between"),
        pytest.param(unanswered(1, note(unanswered(2), AWAY, NOW)), True, True, id="no connection in between is no answer"),
        pytest.param(unanswered(2, note(FOUND, AWAY, NOW)), False, True, id="it was away, and one at a time tried already"),
        pytest.param(unanswered(2, note(FOUND, REJECTED, NOW)), False, True, id="the client was rejected"),
        pytest.param(unanswered(3, note(FOUND, REJECTED, NOW)), True, True, id="the client was rejected, and then came nothing"),
        pytest.param(note(SILENT, REJECTED, NOW), False, True, id="an answer that rejects the client ends it"),
        pytest.param(note_inconclusive(SILENT, NOW), False, False, id="any other answer does"),
        pytest.param(note(SILENT, None, NOW), False, False, id="a success does"),
        pytest.param(note(SILENT, AWAY, NOW + HOUR), True, True, id="no connection does not"),
        pytest.param(unanswered(9, SILENT, is_safe=True), True, True, id="what cannot be spent is a probe as good as any"),
    ],
)
def test_silence(standing: Standing, is_silent: bool, is_narrow: bool) -> None:
    assert (standing.is_silent, standing.gate.is_narrow) == (is_silent, is_narrow)
    assert (standing.obstacle(NOW) == "Silent") is is_silent


def test_one_that_is_asked_for_patience_again_keeps_nobody_waiting_but_its_like() -> None:
    rejected, at = note(FOUND, REJECTED, NOW), NOW + timedelta(minutes=1)
    assert note_inconclusive(rejected, at, is_repeated=True).gate == replace(rejected.gate, opens_to_failed_at=at + timedelta(minutes=1))
    assert note_inconclusive(rejected, at).gate.opens_at == at + timedelta(minutes=1)
    resting = note_inconclusive(rejected, at, rest=HOUR, is_repeated=True)
    assert resting.gate.opens_at == at + HOUR, "what the server asks for holds for all"


@pytest.mark.parametrize(
    ("standing", "is_safe", "is_silent", "others_wait", "failed_wait"),
    [
        pytest.param(unanswered(1), False, False, None, None, id="it tells nothing of others"),
        pytest.param(unanswered(2), False, True, 30, 30, id="beside two others it does"),
        pytest.param(note(FOUND, REJECTED, NOW), False, False, 0, 60, id="nor a probe of a client that was rejected"),
        pytest.param(SILENT, False, True, 60, 60, id="a silent server is asked no more often for it"),
        pytest.param(SILENT, True, True, 0, 30, id="unless nothing is spent by it"),
    ],
)
def test_one_that_fails_as_it_did_before(
    standing: Standing, is_safe: bool, is_silent: bool, others_wait: int | None, failed_wait: int | None
) -> None:
    at = NOW + timedelta(minutes=1)
    failed = note_unanswered(standing, "server_error", at, is_safe=is_safe, is_repeated=True)
    assert failed.is_silent is is_silent
    waits = [(moment - at) if moment else None for moment in (failed.gate.opens_at, failed.gate.opens_to_failed_at)]
    expected = [timedelta(seconds=wait) if wait is not None else None for wait in (others_wait, failed_wait)]
    assert [wait and max(wait, timedelta(0)) for wait in waits] == expected


def test_silence_is_said_and_nobody_needs_to_act() -> None:
    verdicts = {verdict.type: verdict for verdict in judge_connector(SILENT)}
    assert verdicts["Reachable"].reason == "Unreachable"
    assert "the last time: no answer. Nobody needs to do anything" in verdicts["Reachable"].message
    assert "Stalled" not in verdicts


def test_a_server_that_can_be_reached_again_and_does_not_answer_is_not_said_to_be_away() -> None:
    (reachable,) = (v for v in judge_connector(unanswered(1, note(FOUND, AWAY, NOW))) if v.type == "Reachable")
    assert "takes token requests" in reachable.message


LAST = NOW + 2 * SECOND_LATER


@pytest.mark.parametrize(
    ("standing", "at"),
    [
        pytest.param(FOUND, None, id="nothing is known against it"),
        pytest.param(unanswered(2), NOW + 21 * SECOND_LATER, id="two answers were lost: a third may show that it is the server"),
        pytest.param(SILENT, LAST + HOUR, id="silent: others try first"),
        pytest.param(replace(SILENT, fetch_problem=AWAY), LAST + 24 * HOUR, id="silent in every respect"),
        pytest.param(replace(unanswered(1), fetch_problem=AWAY), NOW + 24 * HOUR, id="one answer was lost, and nothing else comes either"),
        pytest.param(replace(FOUND, fetch_problem=AWAY), None, id="no answer was lost: its metadata is away"),
        pytest.param(replace(SILENT, circuit=None, noted=None), LAST + HOUR, id="the spec was changed: a new try, but not the last"),
        pytest.param(note_inconclusive(SILENT, NOW), None, id="it has answered"),
    ],
)
def test_the_last_try_of_a_token_in_doubt(standing: Standing, at: datetime | None) -> None:
    assert standing.last_try_at == at


def test_a_sign_of_life_brings_the_next_probe_nearer() -> None:
    silent = unanswered(1)
    for number in range(12):
        silent = note_unanswered(silent, "no_answer", NOW + number * HOUR)
    at = NOW + 11 * HOUR
    assert silent.gate.opens_at == at + HOUR / 2
    assert note_sign(silent, at + SECOND_LATER).gate.opens_at == at + HOUR / 12
    assert judge_connector(note_sign(FOUND, at)) == judge_connector(FOUND)


MINUTES = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("sign", "reason", "until"),
    [
        pytest.param(None, "ServerError", 30, id="no sign"),
        pytest.param(1, "ServerError", 5, id="a sign: five minutes after the failure"),
        pytest.param(-1, "ServerError", 30, id="a sign before it failed"),
        pytest.param(1, "RequestRejected", 30, id="a request that is rejected is answered anyhow"),
    ],
)
def test_a_sign_of_life_brings_the_end_of_a_wait_nearer(sign: int | None, reason: str, until: int) -> None:
    standing = FOUND if sign is None else note_sign(FOUND, NOW + sign * MINUTES)
    assert standing.bring_near(NOW + 30 * MINUTES, reason, NOW) == NOW + until * MINUTES
    assert standing.bring_near(None, reason, NOW) is None
    assert standing.bring_near(NOW + 2 * MINUTES, reason, NOW) == NOW + 2 * MINUTES, "never later"
