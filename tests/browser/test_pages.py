"""Every page in a real Chromium, light and dark, wide and narrow: nothing is blocked, cut off, too small or too faint."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, sync_playwright
from starlette.types import ASGIApp, Receive, Scope, Send

from doors.house import CODE, LINK, House
from doors.situations import SITUATIONS, Situation
from parts import chromium

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWPORTS = (ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844))
PATIENCE = 60_000
"""Milliseconds for whatever is waited for."""
PROVIDER = "https://login.example.com/**"

FAINT = """() => {
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const parse = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim()) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) faint.push(`${walk.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
"""Texts whose contrast with what lies under them is below 4.5 : 1 (WCAG 2.2, success criterion 1.4.3)."""


@dataclass
class Serving:
    """One server for all tests, with the installation that the current one wants."""

    url: str
    app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the current installation does."""
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Serve pages on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Serving(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(serving, access_log=False, log_config=None, server_header=False, lifespan="off", ws="none"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        yield serving
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a real Chromium; without one the test fails, and the message says how to get one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.executable(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window in which the authorization server answers nothing, so that the browser stays where it is."""
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.route(PROVIDER, lambda route: route.fulfill(status=204))
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A fresh tab."""
    page = context.new_page()
    yield page
    page.close()


def complaints_of(page: Page) -> list[str]:
    """What the browser complains about from now on, apart from the status that a page was meant to have."""
    complaints: list[str] = []
    page.on("console", lambda m: None if m.text.startswith("Failed to load resource: the server responded") else complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def stay_on_the_first(page: Page) -> None:
    """Let no page go on by itself, which some do a second later, before it has been looked at."""
    shown: list[str] = []

    def answer(route: Route) -> None:
        if not route.request.is_navigation_request():
            route.continue_()
        elif shown:
            route.fulfill(status=204)
        else:
            shown.append(route.request.url)
            route.continue_()

    page.route("**/*", answer)


def check_looks(page: Page) -> None:
    """What holds for every page in every theme and at every width."""
    for theme, viewport in product(THEMES, VIEWPORTS):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(viewport)
        look = f"{theme}, {viewport['width']} wide"
        assert page.evaluate("theme => matchMedia(`(prefers-color-scheme: ${theme})`).matches", theme), look
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{look}: it scrolls sideways"
        assert page.evaluate(FAINT) == [], look
        for target in page.locator("button, .button").all():
            box = target.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44, look
    assert page.evaluate("getComputedStyle(document.querySelector('.sheet')).maxWidth") == "576px", "the style sheet is not in force"
    for moving in page.locator(".spinner").all():
        assert moving.evaluate("e => getComputedStyle(e).animationName") == "none", "it moves although motion is unwanted"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.id)
def test_every_page_looks_as_it_should(situation: Situation, page: Page, serving: Serving) -> None:
    house = House(serving.url)
    situation.arrange(house)
    serving.app = house.app()
    complaints = complaints_of(page)
    stay_on_the_first(page)
    page.goto(serving.url + situation.path)
    assert page.locator("h1").inner_text().strip() == situation.title
    check_looks(page)
    assert complaints == []


def test_the_page_that_goes_on_looks_as_it_should(page: Page, serving: Serving) -> None:
    serving.app = House(serving.url).app()
    complaints = complaints_of(page)
    page.goto(serving.url + LINK)
    page.get_by_role("button").click()
    page.get_by_role("link", name="Continue to Example Calendar").wait_for()
    check_looks(page)
    assert complaints == []


def test_the_button_shows_that_it_has_the_focus(page: Page, serving: Serving) -> None:
    serving.app = House(serving.url).app()
    page.goto(serving.url + LINK)
    page.keyboard.press("Tab")
    button = page.get_by_role("button")
    assert button.evaluate("e => e === document.activeElement")
    assert button.evaluate("e => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth") == "solid3px"


def test_a_consent_goes_through_without_script_and_leaves_no_code_behind(browser: Browser, serving: Serving) -> None:
    house = House(serving.url)
    serving.app = house.app()
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    asked: list[str] = []

    def consent(route: Route) -> None:
        asked.append(route.request.url)
        query = parse_qs(urlsplit(route.request.url).query)
        assert route.request.header_value("referer") is None
        route.fulfill(status=302, headers={"Location": f"{query['redirect_uri'][0]}?code={CODE}&state={query['state'][0]}"})

    context.route(PROVIDER, consent)
    page = context.new_page()
    complaints = complaints_of(page)
    page.goto(serving.url + LINK)
    assert asked == [], "only the button starts"
    page.get_by_role("button").click()
    page.wait_for_url(re.compile(r"\?look=\d+$"))
    assert len(house.server.answers) == 1
    assert context.cookies() == []
    page.wait_for_url(re.compile(r"\?look=([2-9]|\d\d)$"))
    house.server.grant()["status"].update(account={"subject": "alice-at-example"}, grantedScopes=["openid"])
    house.request["state"] = "Granted"
    page.wait_for_url(serving.url + LINK)
    assert page.get_by_role("heading", level=1).inner_text() == "Example Calendar is connected"
    page.go_back()
    assert CODE not in page.url
    assert complaints == []
    context.close()
