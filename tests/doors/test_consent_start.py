"""What starts a flow, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doors.house import HTTPS, LINK, House, onward, press, state_of, title


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        pytest.param(press(), True, id="the button on our page"),
        pytest.param({}, True, id="no browser"),
        pytest.param({"Origin": HTTPS}, True, id="our origin, from a browser that does not tell the site"),
        pytest.param({"Origin": "null"}, False, id="no origin, from a browser that does not tell the site"),
        pytest.param({"Origin": "https://evil.example"}, False, id="another origin"),
        pytest.param({"Origin": f"{HTTPS}.evil.example"}, False, id="an origin that begins like ours"),
        pytest.param(press(**{"Sec-Fetch-Site": "cross-site"}), False, id="another site"),
        pytest.param(press(**{"Sec-Fetch-Site": "same-site"}), False, id="another host of our site"),
        pytest.param(press(**{"Sec-Fetch-Site": "none"}), False, id="no page at all"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": HTTPS}, False, id="the site counts first"),
    ],
)
async def test_only_the_button_on_our_own_page_starts_a_flow(headers: dict[str, str], is_own: bool) -> None:  # a column
    house = House()
    async with house.browser() as browser:
        response = await browser.post(LINK, headers=headers)
    assert response.status_code == (200 if is_own else 403)
    assert ("set-cookie" in response.headers) == is_own
    if not is_own:
        assert title(response) == "Please use the button on the page"
        assert not house.server.calls


def _unready(house: House) -> None:
    del house.server.connector()["status"]


@pytest.mark.parametrize(
    ("arrange", "status"),
    [
        pytest.param(lambda house: house.request.update(state="Granted"), 200, id="granted"),
        pytest.param(lambda house: house.request.update(state="Answered"), 200, id="answered"),
        pytest.param(lambda house: house.request.update(state="Expired"), 410, id="expired"),
        pytest.param(lambda house: house.request.update(challenge=None), 503, id="open without a challenge"),
        pytest.param(_unready, 503, id="no way to the server known"),
    ],
)
async def test_a_button_that_comes_too_late_or_too_early_starts_nothing(arrange: Callable[[House], None], status: int) -> None:
    house = House()
    arrange(house)
    async with house.browser() as browser:
        response = await browser.post(f"{LINK}?look=1", headers=press())
    assert response.status_code == status
    assert "set-cookie" not in response.headers
    assert "login.example.com" not in response.text


async def test_states_are_drawn_anew() -> None:
    async with House().browser() as browser:
        addresses = [onward(await browser.post(LINK, headers=press())) for _ in range(20)]
    assert len({state_of(address) for address in addresses}) == 20


async def test_a_connector_of_a_preset_asks_and_sends_off_as_the_shipped_file_has_it() -> None:
    house = House()
    connector = house.server.connector()
    connector["spec"] = {"provider": "google", "clientID": "on-call-planner", "consent": {"link": "Status"}}
    connector["status"]["server"] = {"authorizationEndpoint": "https://accounts.google.com/o/oauth2/v2/auth"}
    async with house.browser() as browser:
        question = await browser.get(LINK)
        away = onward(await browser.post(LINK, headers=press()))
    assert title(question) == "Connect your Google account?"
    assert "Know which account you use" in question.text
    assert away.startswith("https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent&")
