"""Planning: every situation a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grantkeeper.core.conditions import Truth, Verdict
from grantkeeper.core.facts import ConnectorFacts, Copy, Facts, Holding, SecretFacts, Trouble
from grantkeeper.core.pacing import Urgency
from grantkeeper.core.planning import Act, Step, needs_turn, plan, token_state
from grantkeeper.core.tokens import IDClaims

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
READY = ConnectorFacts("calendar", exists=True, ready=True, endpoints_known=True)
AWAY = replace(READY, ready=False)
HELD = Holding(
    generation=3,
    obtained_at=NOW - timedelta(minutes=30),
    expires_at=NOW + timedelta(minutes=30),
    due_at=NOW + timedelta(minutes=15),
    scopes=("read",),
    account=IDClaims(iss="https://as.test", sub="alice"),
    refresh_hash="f" * 64,
)
EXPIRED = replace(HELD, expires_at=NOW, due_at=NOW - timedelta(minutes=15))
DUE = replace(HELD, due_at=NOW)
MADE = (SecretFacts("token", Copy.CURRENT),)


def facts(**changes: Any) -> Facts:  # any field of Facts
    """A grant in perfect order, but for the changes."""
    settled = Facts(now=NOW, is_deleting=False, connector=READY, holding=HELD, secrets=MADE)
    return replace(settled, **changes)


def unasked(**changes: Any) -> Facts:  # any field of Facts
    """A grant that nobody has consented to, but for the changes."""
    return facts(holding=None, secrets=(SecretFacts("token", Copy.MISSING),), **changes)


@pytest.mark.parametrize(
    ("given", "acts", "reason"),
    [
        pytest.param(facts(), (), "Ready", id="fresh and delivered: nothing to do"),
        pytest.param(facts(connector=AWAY), (), "Ready", id="the server is away and the token lives: nothing to say"),
        pytest.param(facts(secrets=()), (), "Ready", id="no Secret asked for: read on request"),
        pytest.param(unasked(), (Act.ASK,), "AwaitingConsent", id="a new grant: ask"),
        pytest.param(unasked(has_open_request=True), (), "AwaitingConsent", id="asked already: wait"),
        pytest.param(unasked(connector=AWAY), (), "Pending", id="nobody can be asked before the connector is ready"),
        pytest.param(unasked(has_open_request=True, answers=("answer-1",)), (Act.REDEEM,), "AwaitingConsent", id="an answer: redeem it"),
        pytest.param(
            unasked(connector=AWAY, has_open_request=True, answers=("a",)),
            (Act.REDEEM,),
            "AwaitingConsent",
            id="an answer while the server is away: it is what shows whether that still holds",
        ),
        pytest.param(
            unasked(connector=replace(AWAY, endpoints_known=False), has_open_request=True, answers=("a",)),
            (),
            "AwaitingConsent",
            id="no way to the server: an answer waits",
        ),
        pytest.param(
            unasked(has_open_request=True, answers=("a",), waits_for_turn=Urgency.AWAITED),
            (),
            "AwaitingConsent",
            id="no turn for a code",
        ),
        pytest.param(
            facts(holding=DUE, answers=("a",), waits_for_turn=Urgency.ROUTINE),
            (Act.REDEEM,),
            "Ready",
            id="a code goes first",
        ),
        pytest.param(facts(holding=DUE, waits_for_turn=Urgency.ROUTINE), (), "Ready", id="due, and it is not its turn yet: wait"),
        pytest.param(facts(is_deleting=True, is_held=True, waits_for_turn=Urgency.ROUTINE), (), "Ready", id="no turn to revoke yet: wait"),
        pytest.param(unasked(has_lapsed_request=True), (Act.ASK,), "AwaitingConsent", id="nobody answered in time: ask again"),
        pytest.param(unasked(refusal="ConsentDenied"), (Act.ASK,), "ConsentDenied", id="denied: it is said, and asked once more"),
        pytest.param(
            unasked(refusal="ExchangeFailed", has_open_request=True), (), "ExchangeFailed", id="failed: said while the new link is open"
        ),
        pytest.param(
            unasked(refusal="AccountMismatch", expected_account="subject 1"),
            (Act.ASK,),
            "AccountMismatch",
            id="another account: ask once more",
        ),
        pytest.param(
            facts(is_dead=True, refusal="AccountMismatch"), (Act.ASK,), "AccountMismatch", id="a refresh brought another account's token"
        ),
        pytest.param(
            unasked(has_dangling_code=True), (Act.SETTLE, Act.ASK), "AwaitingConsent", id="a code left half redeemed: settle first"
        ),
        pytest.param(facts(holding=DUE), (Act.REFRESH,), "Ready", id="three quarters of the lifetime spent: refresh"),
        pytest.param(facts(holding=EXPIRED), (Act.REFRESH,), "Expired", id="expired while nobody looked: refresh"),
        pytest.param(facts(holding=DUE, retry_not_before=NOW + timedelta(seconds=1)), (), "Ready", id="failed just now: wait"),
        pytest.param(facts(holding=DUE, claim_respected_until=NOW + timedelta(seconds=1)), (), "Ready", id="another holds a claim: wait"),
        pytest.param(
            facts(holding=EXPIRED, failure="x", retry_not_before=NOW + timedelta(seconds=1)), (), "RefreshFailing", id="expired, failing"
        ),
        pytest.param(
            facts(holding=EXPIRED, connector=replace(AWAY, endpoints_known=False)),
            (),
            "ConnectorNotReady",
            id="expired, and no way to the server",
        ),
        pytest.param(facts(holding=replace(EXPIRED, refresh_hash=None)), (Act.ASK,), "NotRefreshable", id="expired for good: ask"),
        pytest.param(facts(holding=replace(HELD, refresh_hash=None, due_at=NOW)), (), "Ready", id="not refreshable and alive: use it"),
        pytest.param(facts(holding=replace(HELD, expires_at=None, due_at=None)), (), "Ready", id="a token that never expires"),
        pytest.param(facts(holding=DUE, is_dead=True), (Act.ASK,), "ReauthorizationRequired", id="refused: do not hammer, ask"),
        pytest.param(
            facts(holding=DUE, is_dead=True, has_open_request=True), (), "ReauthorizationRequired", id="refused and asked: the reason stays"
        ),
        pytest.param(
            facts(connector=ConnectorFacts("gone", exists=False, ready=False, endpoints_known=False)),
            (),
            "ConnectorNotFound",
            id="no connector",
        ),
        pytest.param(
            unasked(connector=replace(READY, lacks=("admin",))), (), "ScopesNotOffered", id="a scope that is not offered: ask nobody"
        ),
        pytest.param(facts(holding=None, trouble=Trouble.UNSEALABLE), (), "Unsealable", id="does not open: touch nothing, ask nobody"),
        pytest.param(facts(holding=None, trouble=Trouble.REPLACED), (Act.ASK,), "ConnectorReplaced", id="another client: ask"),
        pytest.param(facts(secrets=(SecretFacts("token", Copy.MISSING),)), (Act.DELIVER,), "Pending", id="a Secret is missing"),
        pytest.param(facts(secrets=(SecretFacts("token", Copy.STALE),)), (Act.DELIVER,), "Pending", id="somebody changed the Secret"),
        pytest.param(facts(secrets=(SecretFacts("token", Copy.FOREIGN),)), (), "SecretConflict", id="the name is taken: not touched"),
        pytest.param(facts(secrets=(SecretFacts("token", Copy.UNWRITABLE),)), (), "WriteFailed", id="the Secret cannot be written"),
        pytest.param(facts(surplus=("old",)), (Act.WITHDRAW,), "Ready", id="an entry left spec.secrets: its Secret goes"),
        pytest.param(
            facts(surplus=("old",), holding=DUE, is_dead=True, has_open_request=True),
            (Act.WITHDRAW,),
            "ReauthorizationRequired",
            id="an entry left a grant that is dead: its Secret goes all the same",
        ),
        pytest.param(unasked(template_fault="t: wrong"), (), "InvalidTemplate", id="a template that cannot be filled: ask nobody"),
        pytest.param(
            facts(
                template_fault="t: wrong",
                holding=DUE,
                secrets=(SecretFacts("wrong", Copy.UNWRITABLE), SecretFacts("right", Copy.STALE)),
            ),
            (Act.REFRESH, Act.DELIVER),
            "InvalidTemplate",
            id="a template became wrong: the other Secrets stay fresh",
        ),
        pytest.param(
            facts(is_deleting=True, is_held=True, answers=("a",)), (Act.RELEASE,), "Ready", id="deleted: release, and nothing else"
        ),
        pytest.param(facts(is_deleting=True), (), "Ready", id="deleted, held by others: nothing is left to do"),
    ],
)
def test_plan(given: Facts, acts: tuple[Act, ...], reason: str) -> None:
    planned = plan(given)
    assert tuple(step.act for step in planned.steps) == acts
    assert next(v for v in planned.verdicts if v.type == "Ready").reason == reason


@pytest.mark.parametrize(
    ("given", "state"),
    [
        pytest.param(facts(), "Active", id="alive"),
        pytest.param(facts(holding=EXPIRED), "Expired", id="run out"),
        pytest.param(unasked(), "Inactive", id="nothing held"),
        pytest.param(facts(is_dead=True), "Active", id="refused, and the access token still lives"),
        pytest.param(facts(holding=EXPIRED, is_dead=True), "Inactive", id="refused and run out"),
        pytest.param(facts(holding=replace(HELD, expires_at=None)), "Active", id="never expires"),
    ],
)
def test_token_state(given: Facts, state: str) -> None:
    assert token_state(given) == state


@pytest.mark.parametrize(
    ("given", "wake_at"),
    [
        pytest.param(facts(), HELD.due_at, id="when the refresh is due"),
        pytest.param(facts(retry_not_before=HELD.expires_at, holding=DUE), HELD.expires_at, id="when it may be tried again"),
        pytest.param(facts(holding=replace(HELD, refresh_hash=None)), HELD.expires_at, id="when it runs out"),
        pytest.param(
            facts(secrets=(SecretFacts("token", Copy.FOREIGN),)), NOW + timedelta(seconds=10), id="soon: a Secret in the way may have gone"
        ),
        pytest.param(unasked(has_open_request=True, request_expires_at=NOW + timedelta(days=1)), NOW + timedelta(days=1), id="link's end"),
        pytest.param(facts(holding=replace(HELD, expires_at=None, due_at=None)), None, id="never, by itself"),
        pytest.param(facts(look_again_at=NOW + timedelta(seconds=10)), NOW + timedelta(seconds=10), id="when an obstacle may be gone"),
    ],
)
def test_wake_at(given: Facts, wake_at: datetime | None) -> None:
    assert plan(given).wake_at == wake_at


def test_a_person_must_act_only_where_no_one_is_being_asked() -> None:
    stalled = plan(facts(secrets=(SecretFacts("token", Copy.FOREIGN),))).verdicts
    assert Verdict("Stalled", Truth.TRUE, "SecretConflict", stalled[3].message) in stalled
    assert all(verdict.type != "Stalled" for verdict in plan(unasked()).verdicts)


def test_a_failing_refresh_is_told_while_the_token_lives() -> None:
    fresh = next(v for v in plan(facts(failure="the authorization server cannot be reached")).verdicts if v.type == "Fresh")
    assert fresh.holds
    assert "cannot be reached" in fresh.message


def test_every_false_verdict_says_something() -> None:
    for given in (unasked(), facts(holding=EXPIRED), facts(is_dead=True), unasked(refusal="ConsentDenied")):
        assert all(verdict.message for verdict in plan(given).verdicts if verdict.truth is Truth.FALSE)


def test_each_secret_is_delivered_by_a_step_of_its_own() -> None:
    both = (SecretFacts("one", Copy.MISSING), SecretFacts("two", Copy.STALE))
    assert plan(facts(secrets=both)).steps == (Step(Act.DELIVER, "one"), Step(Act.DELIVER, "two"))


def test_a_mismatch_names_what_was_expected() -> None:
    verdicts = plan(unasked(refusal="AccountMismatch", expected_account="email alice@example.com")).verdicts
    message = next(verdict.message for verdict in verdicts if verdict.type == "Authorized")
    assert "(email alice@example.com)" in message


@pytest.mark.parametrize("waits", [pytest.param(None, id="asked for none yet"), pytest.param(Urgency.ROUTINE, id="waits for it")])
@pytest.mark.parametrize(
    ("given", "needs"),
    [
        pytest.param(facts(), False, id="nothing to do"),
        pytest.param(facts(holding=DUE), True, id="a refresh is due"),
        pytest.param(facts(holding=DUE, is_dead=True), False, id="refused: there is nothing to present"),
        pytest.param(unasked(has_open_request=True, answers=("a",)), True, id="a code"),
        pytest.param(facts(is_deleting=True, is_held=True), True, id="to be revoked"),
        pytest.param(facts(is_deleting=True), False, id="let go"),
    ],
)
def test_a_turn_is_needed_for_what_a_server_is_asked(given: Facts, needs: bool, waits: Urgency | None) -> None:
    assert needs_turn(replace(given, waits_for_turn=waits)) is needs
