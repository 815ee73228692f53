"""From the button to the answer that the controller finds, and every way in which that must not work."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from doors.house import (
    CALLBACK,
    CODE,
    HTTPS,
    ID,
    LINK,
    LOOPBACK,
    House,
    asked,
    connector,
    grant,
    onward,
    press,
    random_like,
    read,
    start,
    title,
)
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, USERGRANTS
from grantkeeper.consent.tickets import Tickets
from grantkeeper.errors import Forbidden, Unreachable

HASH = hashlib.sha256(ID.encode()).hexdigest()


async def come_back(browser: httpx.AsyncClient, state: str, path: str = CALLBACK, **parameters: str) -> httpx.Response:
    """Follow the authorization server's redirect."""
    return await browser.get(path, params={"code": CODE, "state": state, **parameters})


def data_of(secret: dict[str, dict[str, str]]) -> dict[str, str]:
    """What an answer Secret holds."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


async def test_a_connector_of_another_namespace_has_its_own_callback() -> None:
    house = House()
    house.server.grant()["spec"]["connectorRef"]["namespace"] = "platform"
    elsewhere = connector()
    elsewhere["metadata"]["namespace"] = "platform"
    elsewhere["spec"]["consent"]["displayName"] = "The Platform's Calendar"
    house.server.put(OAUTHCONNECTORS, elsewhere)
    async with house.browser() as browser:
        assert title(await browser.get(LINK)) == "Connect your The Platform's Calendar account?"
        state = await start(browser)
        assert title(await come_back(browser, state)) == "That answer cannot be used"
        assert (await come_back(browser, state, "/callback/platform/calendar")).status_code == 303
    (answer,) = house.server.answers
    told = data_of(answer)
    assert (told["namespace"], told["connector"], told["redirectURI"]) == ("team-a", "calendar", f"{HTTPS}/callback/platform/calendar")


@pytest.mark.parametrize("external_url", [HTTPS, LOOPBACK])
async def test_a_consent_from_the_question_to_the_outcome(external_url: str) -> None:
    house = House(external_url)
    async with house.browser() as browser:
        assert title(await browser.get(LINK)) == "Connect your Example Calendar account?"
        state = await start(browser)
        back = await come_back(browser, state, iss="https://login.example.com")
        assert back.status_code == 303
        assert back.headers["location"] == f"{external_url}{LINK}?look=1"
        assert back.text == ""
        assert not browser.cookies
        assert title(await browser.get(back.headers["location"])) == "Just a moment"
        house.request["state"] = "Answered"
        assert title(await browser.get(f"{LINK}?look=2")) == "Just a moment"
        house.request["state"] = "Granted"
        moved = await browser.get(f"{LINK}?look=3")
        assert moved.headers["location"] == external_url + LINK, "the outcome has the link's own address"
        assert title(await browser.get(LINK)) == "Example Calendar is connected"
    (secret,) = house.server.answers
    assert secret["metadata"]["name"] == f"answer-{HASH}-1"
    assert data_of(secret) == {
        "namespace": "team-a",
        "grant": "calendar-alice",
        "connector": "calendar",
        "id": ID,
        "redirectURI": f"{external_url}{CALLBACK}",
        "time": "2026-11-21T06:30:00Z",
        "code": CODE,
        "iss": "https://login.example.com",
    }
    assert {(verb, plural) for verb, plural, _ in house.server.calls} == {
        ("get", "usergrants"),
        ("get", "oauthconnectors"),
        ("create", "secrets"),
    }


async def test_a_refusal_comes_back_the_same_way() -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        back = await browser.get(CALLBACK, params={"error": "access_denied", "error_description": "<b>no</b>", "state": state})
    assert back.status_code == 303
    (secret,) = house.server.answers
    assert data_of(secret)["error"] == "access_denied"
    assert "code" not in data_of(secret)


async def test_the_page_that_goes_on_needs_no_form_and_no_script() -> None:
    async with House().browser() as browser:
        response = await browser.post(LINK, headers=press())
    page = read(response)
    address = onward(response)
    assert urlsplit(address).netloc == "login.example.com"
    link = page.select_one("main a")
    assert link is not None
    assert link["href"] == address
    assert link["rel"] == ["noreferrer"]
    assert page.find("form") is None


async def test_each_start_has_a_state_and_a_cookie_of_its_own() -> None:
    async with House().browser() as browser:
        states = [await start(browser) for _ in range(3)]
        assert len({*states}) == 3
        assert len(browser.cookies) == 3


async def test_tabs_do_not_disturb_each_other() -> None:
    house = House()
    other = random_like("another request")
    house.server.put(
        USERGRANTS,
        {
            **grant(consentRequests=[asked(hash=hashlib.sha256(other.encode()).hexdigest())]),
            "metadata": {"name": "calendar-bob", "namespace": "team-a", "uid": "2", "resourceVersion": "1"},
        },
    )
    async with house.browser() as browser:
        first = await start(browser)
        second = await start(browser, f"/consent/team-a/calendar-bob/{other}")
        assert (await come_back(browser, first)).headers["location"].startswith(f"{HTTPS}/consent/team-a/calendar-alice/")
        assert (await come_back(browser, second)).headers["location"].startswith(f"{HTTPS}/consent/team-a/calendar-bob/")
    assert [data_of(secret)["grant"] for secret in house.server.answers] == ["calendar-alice", "calendar-bob"]


async def test_the_same_callback_twice_leaves_one_answer() -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        assert (await come_back(browser, state)).status_code == 303
        again = await come_back(browser, state)
    assert again.status_code == 400
    assert title(again) == "Please go on where you started"
    assert len(house.server.answers) == 1


async def test_another_browser_cannot_bring_the_answer() -> None:
    house = House()
    async with house.browser() as browser, house.browser() as other:
        state = await start(browser)
        await start(other)
        response = await come_back(other, state)
    assert response.status_code == 400
    assert title(response) == "Please go on where you started"
    assert not house.server.answers


def make_up(browser: httpx.AsyncClient, link: str) -> str:
    """Let a browser hold a ticket that it made up by itself; the state that goes with it."""
    state = random_like(link)
    _, _, namespace, name, request_id = link.split("/")
    browser.cookies.set(Tickets(secure=True).name(SecretStr(state)), f"{namespace}:{name}:{request_id}:{state}")
    return state


@pytest.mark.parametrize(
    ("link", "status"),
    [
        pytest.param(f"/consent/team-a/nobody/{ID}", 404, id="a grant that is not there"),
        pytest.param(f"/consent/team-a/calendar-alice/{random_like('a guess')}", 404, id="a request that is not there"),
        pytest.param(f"/consent/team-b/calendar-alice/{ID}", 404, id="another namespace"),
        pytest.param("/consent/team-a/calendar-alice/short", 400, id="no id at all"),
    ],
)
async def test_a_ticket_that_a_browser_made_up_opens_nothing(link: str, status: int) -> None:
    house = House()
    async with house.browser() as browser:
        response = await come_back(browser, make_up(browser, link))
    assert response.status_code == status
    assert not house.server.answers


@pytest.mark.parametrize("path", ["/callback/team-a/mail", "/callback/team-b/calendar"])
async def test_an_answer_from_another_connector_is_not_taken(path: str) -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        response = await come_back(browser, state, path)
        assert response.status_code == 400
        assert title(response) == "That answer cannot be used"
        assert not house.server.answers
        assert (await come_back(browser, state)).status_code == 303, "the right one is taken still"


@pytest.mark.parametrize(
    ("taken", "number"),
    [
        pytest.param(0, 1, id="the first"),
        pytest.param(1, 2, id="the second"),
        pytest.param(2, 3, id="the third"),
        pytest.param(3, None, id="no fourth"),
    ],
)
async def test_a_request_has_three_answers_at_most(taken: int, number: int | None) -> None:
    house = House()
    async with house.browser() as browser:
        for _ in range(taken):
            await come_back(browser, await start(browser))
        before = len(house.server.answers)
        response = await come_back(browser, await start(browser))
        assert not browser.cookies
    names = [secret["metadata"]["name"] for secret in house.server.answers]
    if number is None:
        assert response.status_code == 410
        assert title(response) == "This link is used up"
        assert len(names) == before == 3
    else:
        assert response.status_code == 303
        assert names[-1] == f"answer-{HASH}-{number}"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"state": "Granted"}, id="granted meanwhile"),
        pytest.param({"state": "Refused"}, id="refused meanwhile"),
        pytest.param({"state": "Answered"}, id="answered in another tab"),
        pytest.param({"expirationTime": "2026-11-21T06:30:00Z"}, id="its time is over"),
    ],
)
async def test_an_answer_to_a_closed_request_is_not_kept(change: dict[str, str]) -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        house.request.update(change)
        response = await come_back(browser, state)
        assert response.headers["location"] == HTTPS + LINK
        assert not browser.cookies
    assert not house.server.answers


@pytest.mark.parametrize("failure", [Unreachable("no answer"), Forbidden("not you")])
@pytest.mark.parametrize("call", ["get", "create"])
async def test_what_fails_at_the_api_server_can_be_tried_again(failure: Exception, call: str) -> None:
    house = House()

    def fail(verb: str) -> None:
        if verb == call:
            raise failure

    async with house.browser() as browser:
        state = await start(browser)
        house.server.fail = fail
        response = await come_back(browser, state)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "10"
        assert title(response) == "We will be right back"
        assert CODE not in response.text
        house.server.fail = lambda _: None
        assert (await come_back(browser, state)).status_code == 303
    assert len(house.server.answers) == 1


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("HEAD", {}, 405, id="HEAD"),
        pytest.param("GET", {"Sec-Purpose": "prefetch"}, 503, id="prefetch"),
        pytest.param("GET", {"Sec-Purpose": "prefetch;prerender"}, 503, id="prerender"),
        pytest.param("GET", {"Purpose": "prefetch"}, 503, id="prefetch, as older browsers say it"),
    ],
)
async def test_a_callback_that_is_only_fetched_ahead_spends_nothing(method: str, headers: dict[str, str], status: int) -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        response = await browser.request(method, CALLBACK, params={"code": CODE, "state": state}, headers=headers)
        assert response.status_code == status
        assert not house.server.answers
        assert (await come_back(browser, state)).status_code == 303
    assert len(house.server.answers) == 1


async def test_no_page_shows_a_code_or_a_state() -> None:
    house = House()
    async with house.browser() as browser:
        state = await start(browser)
        for parameters in (
            {"code": CODE},
            {"code": CODE, "state": random_like("x")},
            {"code": CODE, "state": state, "error": "server_error"},
        ):
            response = await browser.get(CALLBACK, params=parameters)
            assert response.status_code == 400
            assert CODE not in response.text
            assert state not in response.text
