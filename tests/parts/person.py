"""A person with a browser, scripted: plain HTTP that follows what pages say and presses what people would press."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx
from bs4 import BeautifulSoup, Tag

from parts import PartFailed

DENY = "Deny"
"""The word on the button by which people refuse."""
IMPATIENT_AFTER = 3.0
"""Seconds: who is told to wait longer loads the page anew."""

_REFRESH = re.compile(r"^\s*(?P<pause>\d+)\s*(?:;\s*url\s*=\s*(?P<address>.+?)\s*)?$", re.IGNORECASE)


class Page:
    """What the person sees."""

    def __init__(self, answer: httpx.Response) -> None:
        self.url = str(answer.url)
        self.status = answer.status_code
        self.html = answer.text
        self._soup = BeautifulSoup(self.html, "html.parser")

    def __repr__(self) -> str:
        return f"<Page {self.status} '{self.heading}' at {urlsplit(self.url).netloc}{urlsplit(self.url).path}>"

    @property
    def text(self) -> str:
        """The words of the page, spaces folded."""
        return " ".join(self._soup.get_text(" ").split())

    @property
    def heading(self) -> str:
        """The first heading, or nothing."""
        found = self._soup.find("h1")
        return found.get_text(" ", strip=True) if found else ""

    @property
    def form(self) -> Tag | None:
        """The form to fill in."""
        return self._soup.find("form")

    @property
    def buttons(self) -> list[Tag]:
        """The buttons of the form, the affirmative one first, as people expect."""
        return list(self.form.find_all("button")) if self.form else []

    @property
    def moves_on(self) -> tuple[float, str] | None:
        """After how many seconds the page goes where by itself (`<meta http-equiv="refresh">`)."""
        found = self._soup.find("meta", attrs={"http-equiv": "refresh"})
        said = _REFRESH.match(str(found.get("content", ""))) if found else None
        return (float(said["pause"]), urljoin(self.url, (said["address"] or "").strip("'\""))) if said else None


class Person:
    """Somebody with one browser: cookies are kept from page to page. `account` is typed where a page asks who it is."""

    def __init__(self, account: str = "alice", *, trusting: Iterable[Path] = ()) -> None:
        trust = ssl.create_default_context()
        for authority in trusting:
            trust.load_verify_locations(authority)
        self.account = account
        self.browser = httpx.Client(verify=trust, follow_redirects=True, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.browser.close()

    def consent(self, link: str, *, deny: bool = False, within: float = 120.0) -> Page:
        """Open a consent link and go on until a page neither asks anything nor moves on by itself; return that page.

        With `deny`, press "Deny" on the first page that has such a button.
        """
        deadline = time.monotonic() + within
        page = self.open(link)
        while time.monotonic() < deadline:
            if page.moves_on:
                pause, address = page.moves_on
                time.sleep(min(pause, IMPATIENT_AFTER))
                page = self.open(address)
            elif page.form:
                page = self.submit(page, DENY if deny and _button(page, DENY) else None)
            else:
                return page
        raise PartFailed(f"after {within:.0f} s the person still sees {page!r}")

    def open(self, address: str) -> Page:
        """Open an address; redirects are followed."""
        return Page(self.browser.get(address))

    def submit(self, page: Page, press: str | None = None) -> Page:
        """Fill in the form and press the button with this word on it, or the first."""
        form = page.form
        if form is None:
            raise PartFailed(f"there is no form on {page!r}")
        fields = {str(field["name"]): self._entry(field) for field in form.find_all("input") if field.get("name")}
        button = _button(page, press) if press else next(iter(page.buttons), None)
        if press and button is None:
            raise PartFailed(f"there is no button '{press}' on {page!r}")
        if button and button.get("name"):
            fields[str(button["name"])] = str(button.get("value", ""))
        target = urljoin(page.url, str(form.get("action") or ""))
        is_same_origin = urlsplit(target)[:2] == urlsplit(page.url)[:2]
        method = str(form.get("method") or "get").upper()
        headers = {"Sec-Fetch-Site": "same-origin" if is_same_origin else "cross-site"}  # browsers say so of their own accord
        if method == "POST":
            return Page(self.browser.post(target, data=fields, headers=headers))
        return Page(self.browser.get(target, params=fields, headers=headers))

    def _entry(self, field: Tag) -> str:
        match field.get("name"):
            case "login":
                return self.account
            case "password":
                return "any will do"
        return str(field.get("value", ""))


def _button(page: Page, word: str) -> Tag | None:
    return next((button for button in page.buttons if word in button.get_text()), None)
