"""One consent, clicked through in a real Chromium: pages, cookies and redirects as a person's browser treats them."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

from cluster.stage import Stage
from parts import chromium

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.mark.browser
def test_a_person_consents_in_chromium(stage: Stage) -> None:
    stage.add_connector(
        consent={"link": "Status", "displayName": "Example Calendar", "scopeDescriptions": {"calendar.read": "Read your appointments"}}
    )
    stage.add_grant(purpose="Show your next appointments")
    link = stage.link()
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.executable(), args=ARGUMENTS)
        page = browser.new_context(ignore_https_errors=True).new_page()  # the authorization server's certificate was made on the spot
        page.set_default_timeout(60_000)
        page.on("console", lambda said: complaints.append(f"{said.location['url']}: {said.text}") if said.type == "error" else None)
        page.goto(link)
        assert "Example Calendar" in page.inner_text("body")
        assert "Read your appointments" in page.inner_text("body")
        assert "Show your next appointments" in page.inner_text("body")
        page.get_by_role("button").first.click()
        page.wait_for_selector("input[name=login]")
        page.fill("input[name=login]", "alice")
        page.fill("input[name=password]", "any will do")
        page.get_by_role("button").first.click()
        page.get_by_role("button", name="Allow").click()
        page.get_by_text("close this").wait_for()
        assert page.url.startswith(link)
        assert page.context.cookies(stage.installation.external_url) == [], "the cookie outlived its answer"
        assert "code=" not in page.url
        browser.close()
    stage.wait_ready()
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert [said for said in complaints if said.startswith(stage.installation.external_url)] == []
