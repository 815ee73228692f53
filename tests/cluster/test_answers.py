"""What comes back from a consent that nobody gave: forged, replayed and mixed up. What the authorization server's ledger shows counts.

The first half goes through the pages, as somebody on the internet would; the second is somebody who has taken over `consent` itself,
and can create any answer.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cluster.callbacks import Forger, Traveller, codes, forge, holdings, id_of, random, wait_judged
from cluster.stage import Object, Stage, condition, sha256, status

WRONG_BROWSER = "Please go on where you started"
UNREADABLE = "That answer cannot be used"
A_DAY = 24 * 3600


def test_an_answer_that_another_browser_brings_reaches_nobody(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice, Traveller(stage, "mallory") as mallory:
        callback = alice.travel(stage.link())
        mallory.set_out(stage.link())  # so that there is a cookie, of another flow
        calls = len(stage.control_plane.calls())
        page = mallory.arrive(callback)
        assert (page.status, page.heading) == (400, WRONG_BROWSER)
        assert _answers_made(stage, calls) == 0
        assert codes(stage) == []
        alice.arrive(callback)
    stage.wait_ready()
    assert codes(stage) == [(sha256(callback.params["code"]), None)]


def test_a_forged_state_reaches_nobody(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice:
        callback = alice.travel(stage.link())
        calls = len(stage.control_plane.calls())
        page = alice.arrive(callback.copy_set_param("state", random()))
        assert (page.status, page.heading) == (400, WRONG_BROWSER)
        assert _answers_made(stage, calls) == 0
        alice.arrive(callback)
    stage.wait_ready()
    assert len(codes(stage)) == 1


def test_a_callback_that_is_opened_again_changes_nothing(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice:
        callback = alice.travel(stage.link())
        kept = alice.ticket
        alice.arrive(callback)
        stage.wait_ready()
        before = holdings(stage, "alice")
        assert alice.arrive(callback).heading == WRONG_BROWSER, "the cookie was not taken back"
        # A browser that goes back may bring its cookie again.
        with httpx.Client(cookies=kept) as stale:
            again = stale.get(callback)
        assert again.status_code == 303
        assert "code" not in again.headers["Location"]
    wait_judged(stage)
    assert codes(stage) == [(sha256(callback.params["code"]), None)]
    assert holdings(stage, "alice") == before


def test_the_callbacks_of_two_connectors_cannot_be_swapped(stage: Stage) -> None:
    _ask(stage)
    stage.add_connector("mail", lifetime=A_DAY, clientID=f"{stage.client_id}-mail")
    stage.add_grant("alice-mail", connector="mail")
    with Traveller(stage) as alice:
        calendar, mail = alice.travel(stage.link()), alice.travel(stage.link("alice-mail"))
        calls = len(stage.control_plane.calls())
        for callback, other in ((calendar, mail), (mail, calendar)):
            page = alice.arrive(callback.copy_with(path=other.path))
            assert (page.status, page.heading) == (400, UNREADABLE)
        assert _answers_made(stage, calls) == 0
        alice.arrive(calendar)
        alice.arrive(mail)
    stage.wait_ready("alice")
    stage.wait_ready("alice-mail")


def test_a_code_under_the_state_of_another_flow_fails_at_the_server(stage: Stage) -> None:
    _ask(stage)
    stage.add_grant("second")
    link = stage.link()
    with Traveller(stage) as alice:
        first, second = alice.travel(link), alice.travel(stage.link("second"))
        alice.arrive(first.copy_set_param("code", second.params["code"]))
        stage.wait_reason("alice", "ExchangeFailed")
    # The same client, the same redirect URI, a code that lives: it is the verifier that does not fit (RFC 7636 section 4.6).
    assert codes(stage) == [(sha256(second.params["code"]), "invalid_grant")]
    assert holdings(stage, "alice").tokenset is None
    _consent_anew(stage, other_than=link)


@pytest.mark.parametrize(
    "issuer", [pytest.param("https://login.example.net", id="of another server"), pytest.param(None, id="although the server promises it")]
)
def test_three_answers_with_a_wrong_or_no_issuer_spend_the_request_and_no_code(stage: Stage, issuer: str | None) -> None:
    _ask(stage)
    link = stage.link()
    for count in range(3):
        assert stage.link() == link, f"{count} wrong answers spent the request"
        with Traveller(stage) as alice:
            callback = forge(stage, alice.set_out(link))
            alice.arrive(callback.copy_set_param("iss", issuer) if issuer else callback.copy_remove_param("iss"))
        wait_judged(stage)
    refused = stage.wait_reason("alice", "ExchangeFailed")
    assert status(refused)["consentRequests"][0]["state"] == "Refused"
    assert codes(stage) == []
    _consent_anew(stage, other_than=link)


def test_fifty_callbacks_of_one_code_are_one_presentation(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice:
        callback = alice.travel(stage.link())
        with httpx.Client(cookies=alice.ticket, timeout=30) as browser, ThreadPoolExecutor(50) as tabs:
            answers = list(tabs.map(browser.get, [callback] * 50))
    assert {answer.status_code for answer in answers} <= {303, 410}
    stage.wait_ready()
    wait_judged(stage)
    assert codes(stage) == [(sha256(callback.params["code"]), None)]


def test_a_link_that_is_unknown_or_has_expired_leads_nowhere(stage: Stage) -> None:
    _ask(stage)
    link = stage.link()
    with Traveller(stage) as alice:
        assert alice.open(link.replace(id_of(link), random())).status == 404
        callback = alice.travel(link)
        stage.installation.controller.stop()  # it would set the status right at once
        try:
            _let_expire(stage)
            calls = len(stage.control_plane.calls())
            assert alice.open(link).status == 410
            assert alice.arrive(callback).status == 410
            assert _answers_made(stage, calls) == 0
        finally:
            stage.installation.controller.start()
    stage.wait_grant(
        "alice", lambda grant: datetime.fromisoformat(status(grant)["consentRequests"][0]["expirationTime"]) > datetime.now(UTC)
    )
    assert stage.link() == link, "status is a report, and never read back"
    assert codes(stage) == []
    stage.consent()
    stage.wait_ready()


def test_ids_of_no_request_count_against_none(stage: Stage) -> None:
    _ask(stage)
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")
    alice_link, before, presented = stage.link(), holdings(stage, "bob"), codes(stage)
    forger = Forger(stage)
    left = [forger.leave(random(), random(), grant=grant) for grant in ("alice", "bob") for _ in range(4)]
    left.append(forger.leave(id_of(alice_link), random(), grant="bob"))
    wait_judged(stage, *left)
    assert codes(stage) == presented
    assert stage.link() == alice_link
    assert holdings(stage, "bob") == before
    assert condition(stage.get(stage.grant_path("bob")), "Ready")["status"] == "True"
    stage.consent()
    stage.wait_ready()


def test_a_code_of_another_persons_flow_fails_at_the_server_and_what_is_held_stays(stage: Stage) -> None:
    stage.make_ready("alice", lifetime=8)
    stage.auth_server.forget("alice")
    stage.wait_reason("alice", "ReauthorizationRequired")
    stage.add_grant("mallory")
    with Traveller(stage, "mallory") as mallory:
        code = mallory.travel(stage.link("mallory")).params["code"]
    link, held, presented = stage.link("alice"), stage.sealed("alice")["data"]["tokenset"], codes(stage)
    wait_judged(stage, Forger(stage).leave(id_of(link), code, grant="alice"))
    assert codes(stage) == [*presented, (sha256(code), "invalid_grant")]
    assert stage.sealed("alice")["data"]["tokenset"] == held
    assert condition(stage.get(stage.grant_path("alice")), "Ready")["reason"] == "ReauthorizationRequired"
    _consent_anew(stage, other_than=link)
    assert status(stage.get(stage.grant_path("alice")))["account"] == {"subject": "alice"}


def test_answers_from_elsewhere_are_counted_and_three_spend_the_request(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice:
        code = alice.travel(link := stage.link()).params["code"]
    elsewhere: tuple[dict[str, str | None], ...] = (
        {"redirectURI": f"{stage.installation.external_url}/callback/{stage.namespace}/mail"},
        {"connector": "mail"},
        {"code": None},
    )
    for number, changes in enumerate(elsewhere):
        assert stage.link() == link, f"{number} wrong answers spent the request"
        wait_judged(stage, Forger(stage).leave(id_of(link), code, changes=changes))
    stage.wait_reason("alice", "ExchangeFailed")
    assert codes(stage) == []
    _consent_anew(stage, other_than=link)


def test_the_same_answer_three_times_is_one_presentation(stage: Stage) -> None:
    _ask(stage)
    with Traveller(stage) as alice:
        code = alice.travel(link := stage.link()).params["code"]
    stage.installation.controller.stop()  # so that it finds all three at once
    try:
        left = [Forger(stage).leave(id_of(link), code, number=number) for number in (1, 2, 3)]
    finally:
        stage.installation.controller.start()
    stage.wait_ready()
    wait_judged(stage, *left)
    assert codes(stage) == [(sha256(code), None)]
    assert status(stage.get(stage.grant_path()))["tokenGeneration"] == 1


def _ask(stage: Stage) -> None:
    """A grant, `alice`, whose person is asked."""
    stage.add_connector(lifetime=A_DAY)
    stage.add_grant()


def _consent_anew(stage: Stage, *, other_than: str) -> None:
    """A new link appears, and a real consent by it works."""
    stage.wait_grant("alice", lambda grant: status(grant).get("consentURL") not in {None, other_than})
    presented = codes(stage)
    stage.consent()
    stage.wait_ready()
    assert [error for _, error in codes(stage)[len(presented) :]] == [None]
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]


def _let_expire(stage: Stage) -> None:
    """Let the status say that the request has expired; the record, which is sealed, cannot be changed from outside."""
    requests = status(stage.get(stage.grant_path()))["consentRequests"]
    past = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = {"status": {"consentRequests": [{**request, "expirationTime": past} for request in requests]}}
    with stage.control_plane.client() as client:
        client.patch(
            f"{stage.grant_path()}/status", json=patch, headers={"Content-Type": "application/merge-patch+json"}
        ).raise_for_status()


def _expires_at(grant: Object) -> datetime:
    return datetime.fromisoformat(status(grant)["consentRequests"][0]["expirationTime"])


def _answers_made(stage: Stage, since: int) -> int:
    """How many answers the pages created, by the audit log."""
    account = f"{stage.installation.namespace}/grantkeeper-consent"
    return sum(call.account == account and call.is_write for call in stage.control_plane.calls(since))
