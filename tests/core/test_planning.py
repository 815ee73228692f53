"""Planning: every situation a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grantkeeper.core.admission import Admission
from grantkeeper.core.conditions import Truth, Verdict
from grantkeeper.core.facts import ConnectorFacts, Copy, Facts, Holding, SecretFacts, Trouble
from grantkeeper.core.pacing import Urgency
from grantkeeper.core.planning import Act, Step, find_steps, needs_turn, plan
from grantkeeper.core.profiles import Profile
from grantkeeper.core.reasons import Reason
from grantkeeper.core.refreshing import refresh_at
from grantkeeper.core.tokens import IDClaims
from grantkeeper.core.verdicts import token_state

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
READY = ConnectorFacts("calendar", exists=True, ready=True, endpoints_known=True, shows_links=True)
KEPT_OUT = replace(READY, shows_links=False)
"""Of a connector with `consent.link: OnRequest`."""
AWAY = replace(READY, ready=False)
CLOSED = replace(READY, namespace="platform", admission=Admission.REFUSED)
UNREAD = replace(READY, namespace="platform", admission=Admission.UNKNOWN)
HELD = Holding(
    generation=3,
    obtained_at=NOW - timedelta(minutes=30),
    expires_at=NOW + timedelta(minutes=30),
    due_at=NOW + timedelta(minutes=15),
    scopes=("read",),
    account=IDClaims(iss="https://as.test", sub="alice"),
    refresh_hash="f" * 64,
)
LATER = NOW + timedelta(seconds=35)
EXPIRED = replace(HELD, expires_at=NOW, due_at=NOW - timedelta(minutes=15))
DUE = replace(HELD, due_at=NOW)
MADE = (SecretFacts("token", Copy.CURRENT),)
UNKEPT = replace(READY, keeps_tokens=False)
PROFILE = Profile(recorded_at=NOW, revoked=True)


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
        pytest.param(facts(holding=DUE, is_unstored=True, answers=("a",)), (Act.STORE,), "Ready", id="what came first waits to be stored"),
        pytest.param(
            facts(is_deleting=True, is_held=True, is_unstored=True), (Act.STORE,), "Ready", id="deleted: what came is stored before"
        ),
        pytest.param(facts(holding=DUE, has_left=True), (Act.STORE, Act.REFRESH), "Ready", id="what came second stops nothing"),
        pytest.param(facts(is_deleting=True, is_held=True), (Act.RELEASE,), "Ready", id="deleted: release"),
        pytest.param(
            facts(is_deleting=True, is_held=True, claim_respected_until=LATER), (), "Ready", id="deleted: another may still get an answer"
        ),
        pytest.param(
            facts(claim_respected_until=LATER, answers=("a",), has_open_request=True), (), "Ready", id="an answer: after another's refresh"
        ),
        pytest.param(facts(connector=AWAY), (), "Ready", id="the server is away and the token lives: nothing to say"),
        pytest.param(facts(secrets=()), (), "Ready", id="no Secret asked for: read on request"),
        pytest.param(unasked(), (Act.ASK,), "AwaitingConsent", id="a new grant: ask"),
        pytest.param(unasked(has_open_request=True, has_link=True), (), "AwaitingConsent", id="asked already: wait"),
        pytest.param(unasked(connector=AWAY), (), "Pending", id="nobody can be asked before the connector is ready"),
        pytest.param(
            unasked(has_open_request=True, has_link=True, answers=("answer-1",)),
            (Act.REDEEM,),
            "AwaitingConsent",
            id="an answer: redeem it",
        ),
        pytest.param(
            unasked(connector=AWAY, has_open_request=True, has_link=True, answers=("a",)),
            (Act.REDEEM,),
            "AwaitingConsent",
            id="an answer while the server is away: it is what shows whether that still holds",
        ),
        pytest.param(
            unasked(connector=replace(AWAY, endpoints_known=False), has_open_request=True, has_link=True, answers=("a",)),
            (),
            "AwaitingConsent",
            id="no way to the server: an answer waits",
        ),
        pytest.param(
            unasked(has_open_request=True, has_link=True, answers=("a",), waits_for_turn=Urgency.AWAITED),
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
        pytest.param(unasked(refusal=Reason.CONSENT_DENIED), (Act.ASK,), "ConsentDenied", id="denied: it is said, and asked once more"),
        pytest.param(
            unasked(refusal=Reason.EXCHANGE_FAILED, has_open_request=True, has_link=True),
            (),
            "ExchangeFailed",
            id="failed: said while the new link is open",
        ),
        pytest.param(
            unasked(refusal=Reason.ACCOUNT_MISMATCH, expected_account="subject 1"),
            (Act.ASK,),
            "AccountMismatch",
            id="another account: ask once more",
        ),
        pytest.param(
            facts(is_dead=True, refusal=Reason.ACCOUNT_MISMATCH),
            (Act.ASK,),
            "AccountMismatch",
            id="a refresh brought another account's token",
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
        pytest.param(
            facts(holding=EXPIRED, connector=replace(AWAY, endpoints_known=False, is_judged=False)),
            (),
            "Expired",
            id="expired, and nobody has looked at the connector yet: it is not blamed",
        ),
        pytest.param(facts(holding=replace(EXPIRED, refresh_hash=None)), (Act.ASK,), "NotRefreshable", id="expired for good: ask"),
        pytest.param(facts(holding=replace(HELD, refresh_hash=None, due_at=NOW)), (), "Ready", id="not refreshable and alive: use it"),
        pytest.param(facts(holding=replace(HELD, expires_at=None, due_at=None)), (), "Ready", id="a token that never expires"),
        pytest.param(facts(holding=DUE, is_dead=True), (Act.ASK,), "ReauthorizationRequired", id="refused: do not hammer, ask"),
        pytest.param(
            facts(holding=DUE, is_dead=True, has_open_request=True, has_link=True),
            (),
            "ReauthorizationRequired",
            id="refused and asked: the reason stays",
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
            facts(surplus=("old",), holding=DUE, is_dead=True, has_open_request=True, has_link=True),
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
        pytest.param(unasked(connector=CLOSED), (), "NamespaceNotAllowed", id="not admitted: ask nobody"),
        pytest.param(
            unasked(connector=CLOSED, has_open_request=True, answers=("a",)), (), "NamespaceNotAllowed", id="not admitted: an answer waits"
        ),
        pytest.param(facts(connector=CLOSED, holding=DUE), (), "NamespaceNotAllowed", id="not admitted: refresh nothing"),
        pytest.param(
            facts(connector=CLOSED, secrets=(SecretFacts("token", Copy.MISSING),)),
            (),
            "NamespaceNotAllowed",
            id="not admitted: deliver nothing",
        ),
        pytest.param(
            facts(connector=CLOSED, handed_out=("token",)), (Act.WITHDRAW,), "NamespaceNotAllowed", id="not admitted any more: withdraw"
        ),
        pytest.param(
            facts(connector=CLOSED, is_deleting=True, is_held=True),
            (Act.RELEASE,),
            "NamespaceNotAllowed",
            id="not admitted, deleted: release",
        ),
        pytest.param(facts(connector=UNREAD, holding=DUE), (), "Pending", id="labels not read yet: neither act nor withdraw"),
        pytest.param(unasked(connector=UNREAD), (), "Pending", id="labels not read yet: ask nobody"),
        pytest.param(
            facts(is_kept=False, holding=DUE, answers=("a",), surplus=("old",), has_lapsed_request=True),
            (),
            "Pending",
            id="not kept: touch nothing",
        ),
        pytest.param(facts(is_kept=False, is_deleting=True, is_held=True), (Act.RELEASE,), "Pending", id="not kept, deleted: release"),
        pytest.param(
            facts(is_suspended=True, holding=DUE, handed_out=("token", "old"), surplus=("old",)),
            (Act.WITHDRAW, Act.WITHDRAW),
            "Suspended",
            id="suspended: what was handed out goes, nothing is refreshed",
        ),
        pytest.param(
            facts(is_suspended=True, secrets=(SecretFacts("token", Copy.MISSING),)), (), "Suspended", id="suspended: deliver nothing"
        ),
        pytest.param(unasked(is_suspended=True), (), "Pending", id="suspended before anybody was asked: ask nobody"),
        pytest.param(
            unasked(is_suspended=True, has_open_request=True, answers=("a",)),
            (Act.REDEEM,),
            "AwaitingConsent",
            id="suspended, and somebody answers: redeem it",
        ),
        pytest.param(unasked(is_suspended=True, has_lapsed_request=True), (Act.ASK,), "Pending", id="suspended, not answered: close it"),
        pytest.param(
            facts(is_suspended=True, is_dead=True, holding=DUE), (), "ReauthorizationRequired", id="suspended and refused: ask nobody"
        ),
        pytest.param(
            facts(is_suspended=True, is_deleting=True, is_held=True, handed_out=("token",)),
            (Act.RELEASE,),
            "Suspended",
            id="suspended and deleted: release",
        ),
        pytest.param(facts(connector=UNKEPT, holding=None), (Act.ASK,), "AwaitingConsent", id="no tokens are kept: whose account is it?"),
        pytest.param(facts(connector=UNKEPT, holding=None, profile=PROFILE), (), "TokensNotKept", id="the account is known: ask nobody"),
        pytest.param(
            facts(connector=UNKEPT, holding=None, refusal=Reason.ACCOUNT_MISMATCH),
            (Act.ASK,),
            "AccountMismatch",
            id="none kept, another account",
        ),
        pytest.param(
            facts(connector=UNKEPT, holding=DUE, handed_out=("token",), secrets=(SecretFacts("token", Copy.STALE),)),
            (Act.WITHDRAW,),
            "TokensNotKept",
            id="switched to keep none: withdraw, do not refresh, ask nobody",
        ),
        pytest.param(facts(connector=UNKEPT, holding=EXPIRED, is_dead=True), (), "TokensNotKept", id="none kept, and what was is dead"),
        pytest.param(
            facts(holding=None, profile=PROFILE, secrets=()), (Act.ASK,), "AwaitingConsent", id="a profile, and tokens are kept: ask"
        ),
        pytest.param(
            facts(connector=UNKEPT, holding=None, trouble=Trouble.REPLACED), (Act.ASK,), "ConnectorReplaced", id="none kept, another client"
        ),
        pytest.param(facts(connector=UNKEPT, is_suspended=True, holding=None), (), "Pending", id="none kept and suspended: ask nobody"),
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


WIDER = facts(wanted=("read", "write"))
ASKED = facts(holding=replace(HELD, asked=("read", "write")), wanted=("read", "write"))
OTHERS = NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("given", "is_asked"),
    [
        pytest.param(unasked(connector=KEPT_OUT), False, id="OnRequest: nobody is asked"),
        pytest.param(unasked(connector=KEPT_OUT, has_lapsed_request=True), True, id="OnRequest: what ran out is closed"),
        pytest.param(unasked(connector=KEPT_OUT, refusal=Reason.CONSENT_DENIED), False, id="OnRequest: denied, and nobody is asked again"),
        pytest.param(facts(connector=KEPT_OUT, holding=DUE, is_dead=True), False, id="OnRequest: refused, and nobody is asked"),
        pytest.param(unasked(connector=KEPT_OUT, wish="a" * 64), True, id="OnRequest: a link is asked for"),
        pytest.param(facts(connector=KEPT_OUT, wish="a" * 64), True, id="OnRequest: a link is asked for, to consent anew"),
        pytest.param(facts(wish="a" * 64), True, id="Status: a link is asked for all the same"),
        pytest.param(unasked(connector=replace(KEPT_OUT, ready=False), wish="a" * 64), False, id="a wish waits for the connector"),
        pytest.param(unasked(connector=replace(KEPT_OUT, lacks=("x",)), wish="a" * 64), False, id="a wish waits for the grant"),
        pytest.param(unasked(connector=KEPT_OUT, template_fault="t", wish="a" * 64), False, id="a wish waits for the templates"),
        pytest.param(facts(holding=None, trouble=Trouble.UNSEALABLE, wish="a" * 64), False, id="a wish waits for the keyring"),
        pytest.param(facts(wish="a" * 64, claim_respected_until=OTHERS), False, id="a wish waits for another holder's claim"),
        pytest.param(unasked(has_open_request=True), True, id="Status: the open request is somebody's own, so one follows for the status"),
        pytest.param(WIDER, True, id="Status: wider than was asked: ask"),
        pytest.param(replace(WIDER, connector=KEPT_OUT), False, id="OnRequest: wider than was asked: nobody is asked"),
        pytest.param(replace(WIDER, connector=AWAY), False, id="wider, but the connector is not ready"),
        pytest.param(replace(WIDER, has_open_request=True, has_link=True), False, id="wider, and asked: wait"),
        pytest.param(
            replace(WIDER, has_open_request=True, has_link=True, is_link_short=True), True, id="wider than what the open link asks for: ask"
        ),
        pytest.param(unasked(has_open_request=True, has_link=True, is_link_short=True), True, id="wider before anybody has answered: ask"),
        pytest.param(ASKED, False, id="asked for and not granted: not asked again"),
        pytest.param(facts(wanted=()), False, id="narrower: nobody is asked"),
        pytest.param(facts(wanted=("read",)), False, id="as granted; what was asked is not known"),
    ],
)
def test_who_is_asked(given: Facts, is_asked: bool) -> None:
    assert (Step(Act.ASK) in plan(given).steps) is is_asked


def test_a_wider_consent_is_awaited_with_the_tokens_in_use() -> None:
    verdicts = {verdict.type: verdict for verdict in plan(WIDER).verdicts}
    assert all(verdict.holds for verdict in verdicts.values())
    assert verdicts["Authorized"].reason == "Consented"
    assert "Still to be consented to: write." in verdicts["Authorized"].message
    assert token_state(WIDER) == "Active"


def test_a_refresh_does_not_wait_for_a_wider_consent() -> None:
    assert Step(Act.REFRESH) in plan(replace(WIDER, holding=DUE, has_open_request=True, has_link=True)).steps


@pytest.mark.parametrize(
    ("given", "state"),
    [
        pytest.param(facts(), "Active", id="alive"),
        pytest.param(facts(holding=EXPIRED), "Expired", id="run out"),
        pytest.param(unasked(), "Inactive", id="nothing held"),
        pytest.param(facts(is_dead=True), "Active", id="refused, and the access token still lives"),
        pytest.param(facts(holding=EXPIRED, is_dead=True), "Inactive", id="refused and run out"),
        pytest.param(facts(holding=replace(HELD, expires_at=None)), "Active", id="never expires"),
        pytest.param(facts(connector=UNKEPT), "NotApplicable", id="the connector keeps none"),
        pytest.param(facts(is_suspended=True), "Active", id="suspended: what is held is told as it is"),
        pytest.param(facts(is_suspended=True, holding=EXPIRED), "Expired", id="suspended, run out meanwhile"),
    ],
)
def test_token_state(given: Facts, state: str) -> None:
    assert token_state(given) == state


@pytest.mark.parametrize(
    ("given", "wake_at"),
    [
        pytest.param(facts(is_deleting=True, is_held=True, claim_respected_until=LATER), LATER, id="deleted, as soon as nothing can come"),
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


def test_a_suspended_grant_says_so_and_what_becomes_of_its_secrets() -> None:
    verdicts = {v.type: v for v in plan(facts(is_suspended=True, handed_out=("token",))).verdicts}
    assert (verdicts["Fresh"].truth, verdicts["Fresh"].reason) == (Truth.FALSE, "Suspended")
    assert (verdicts["Delivered"].truth, verdicts["Delivered"].reason) == (Truth.UNKNOWN, "Pending")
    assert "token" in verdicts["Delivered"].message
    assert verdicts["Authorized"].holds
    assert "Stalled" not in verdicts
    handed_in = {v.type: v for v in plan(facts(is_suspended=True)).verdicts}
    assert handed_in["Delivered"].message == "Nothing is handed out while spec.suspend is true."


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(facts(connector=UNKEPT, holding=None, profile=PROFILE), "revoked at once", id="revoked"),
        pytest.param(
            facts(connector=UNKEPT, holding=None, profile=Profile(recorded_at=NOW, revoked=False)),
            "not revoked",
            id="not taken",
        ),
        pytest.param(facts(connector=UNKEPT), "stay sealed", id="held from before"),
        pytest.param(facts(connector=UNKEPT, is_suspended=True), "end with the grant.", id="held from before, and suspended"),
    ],
)
def test_what_became_of_the_tokens_is_said(given: Facts, says: str) -> None:
    verdicts = {v.type: v for v in plan(given).verdicts}
    assert says in verdicts["Authorized"].message
    assert "No one is asked" not in verdicts["Authorized"].message
    assert verdicts["Delivered"].truth is Truth.UNKNOWN
    assert not verdicts["Fresh"].holds


def test_no_one_is_told_to_wait_for_a_link_while_suspended() -> None:
    refused = next(v for v in plan(unasked(is_suspended=True, refusal=Reason.CONSENT_DENIED)).verdicts if v.type == "Authorized")
    assert refused.message.endswith("No one is asked while spec.suspend is true.")


def test_an_expired_token_that_is_not_served_says_that_nobody_refreshes_it() -> None:
    for given in (facts(connector=CLOSED, holding=EXPIRED), facts(is_kept=False, holding=EXPIRED)):
        fresh = next(v for v in plan(given).verdicts if v.type == "Fresh")
        assert (fresh.reason, fresh.message.endswith("It is not refreshed: see Accepted.")) == ("Expired", True)
        assert refresh_at(given) is None


def test_a_namespace_that_is_not_admitted_learns_what_to_do_and_nothing_else() -> None:
    closed = replace(CLOSED, ready=False, lacks=("admin",))
    verdicts = {v.type: v for v in plan(unasked(connector=closed, refusal=Reason.CONSENT_DENIED, template_fault="t: wrong")).verdicts}
    assert (verdicts["Accepted"].reason, verdicts["Authorized"].reason) == ("NamespaceNotAllowed", "Pending")
    assert verdicts["Stalled"].reason == "NamespaceNotAllowed"
    said = verdicts["Accepted"].message
    assert "OAuthConnector calendar in namespace platform" in said
    assert "its owner can admit it in spec.allowedNamespaces" in said
    assert "admin" not in " ".join(v.message for v in verdicts.values())


def test_a_connector_that_is_not_there_is_missed_where_the_grant_says() -> None:
    gone = ConnectorFacts("git", exists=False, ready=False, endpoints_known=False)
    messages = [plan(unasked(connector=about)).verdicts[0].message for about in (gone, replace(gone, namespace="platform"))]
    assert messages == [
        "There is no OAuthConnector git in this namespace; create it.",
        "There is no OAuthConnector git in namespace platform; create it there.",
    ]


def test_a_person_must_act_only_where_no_one_is_being_asked() -> None:
    stalled = plan(facts(secrets=(SecretFacts("token", Copy.FOREIGN),))).verdicts
    assert Verdict("Stalled", Truth.TRUE, Reason.SECRET_CONFLICT, stalled[3].message) in stalled
    assert all(verdict.type != "Stalled" for verdict in plan(unasked()).verdicts)


def test_a_failing_refresh_is_told_while_the_token_lives() -> None:
    fresh = next(v for v in plan(facts(failure="the authorization server cannot be reached")).verdicts if v.type == "Fresh")
    assert fresh.holds
    assert "cannot be reached" in fresh.message


def test_every_false_verdict_says_something() -> None:
    for given in (unasked(), facts(holding=EXPIRED), facts(is_dead=True), unasked(refusal=Reason.CONSENT_DENIED)):
        assert all(verdict.message for verdict in plan(given).verdicts if verdict.truth is Truth.FALSE)


def test_each_secret_is_delivered_by_a_step_of_its_own() -> None:
    both = (SecretFacts("one", Copy.MISSING), SecretFacts("two", Copy.STALE))
    assert plan(facts(secrets=both)).steps == (Step(Act.DELIVER, "one"), Step(Act.DELIVER, "two"))


def test_a_mismatch_names_what_was_expected() -> None:
    verdicts = plan(unasked(refusal=Reason.ACCOUNT_MISMATCH, expected_account="email alice@example.com")).verdicts
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
    given = replace(given, waits_for_turn=waits)
    assert needs_turn(given, find_steps(given)) is needs


@pytest.mark.parametrize(("condition", "holding"), [("Authorized", None), ("Fresh", EXPIRED)])
def test_nobody_is_sent_to_the_status_of_a_connector_that_is_not_there(condition: str, holding: Holding | None) -> None:
    for exists in (False, True):
        connector = ConnectorFacts("git", exists=exists, ready=False, endpoints_known=False)
        (said,) = (v.message for v in plan(facts(connector=connector, holding=holding)).verdicts if v.type == condition)
        assert ("see its own status" in said) == exists
        assert ("see Accepted" in said) != exists


@pytest.mark.parametrize(
    ("ahead", "at"),
    [
        pytest.param(timedelta(0), HELD.due_at, id="it has just come"),
        pytest.param(timedelta(seconds=60), HELD.due_at, id="another machine's clock is a little fast: soon enough all the same"),
        pytest.param(timedelta(seconds=61), NOW, id="the clock was set back: nobody knows how long it lives"),
    ],
)
def test_a_set_that_came_in_the_future(ahead: timedelta, at: datetime) -> None:
    assert refresh_at(facts(holding=replace(HELD, obtained_at=NOW + ahead, expires_at=NOW + ahead + timedelta(hours=1)))) == at


def test_a_set_that_lives_for_ever_is_never_due_wherever_the_clock_goes() -> None:
    assert refresh_at(facts(holding=replace(HELD, obtained_at=NOW + timedelta(days=1), expires_at=None, due_at=None))) is None
