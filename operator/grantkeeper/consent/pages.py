"""Turn a page into HTML: one template for each kind, every text from the catalogue, every value escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from grantkeeper.consent.texts import Texts
from grantkeeper.consent.views import Connected, Departure, Notice, Page, Question, Refused, Waiting

_HERE = Path(__file__).parent
_TEMPLATES: dict[type[Page], str] = {
    Question: "question.html",
    Departure: "departure.html",
    Waiting: "waiting.html",
    Connected: "connected.html",
    Refused: "refused.html",
    Notice: "notice.html",
}
_STATUSES = {
    Notice.ROOT: 200,
    Notice.UNKNOWN: 404,
    Notice.PREPARING: 503,
    Notice.EXPIRED: 410,
    Notice.SUPERSEDED: 410,
    Notice.USED: 410,
    Notice.UNREADABLE: 400,
    Notice.WRONG_BROWSER: 400,
    Notice.ELSEWHERE: 403,
    Notice.METHOD: 405,
    Notice.UNREADY: 503,
    Notice.TROUBLE: 503,
    Notice.FAULT: 500,
}
_AGAIN = {Notice.PREPARING: 3, Notice.UNREADY: 30, Notice.TROUBLE: 10}
"""Seconds after which these pages look again by themselves, as they tell machines too (RFC 9110 section 10.2.3)."""


class Pages:
    """The pages in one language. They need nothing but themselves: no script, no other request, one style sheet inside."""

    def __init__(self, texts: Texts, shown: Callable[[Page], None] = lambda _: None) -> None:
        self._shown = shown
        style = (_HERE / "static" / "pages.css").read_text(encoding="utf-8")
        self._style_hash = b64encode(sha256(style.encode()).digest()).decode()
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(style=Markup(style), language=texts.language)  # noqa: S704  # our own file
        self._environment.filters.update(moment=texts.moment, remaining=texts.remaining)
        self._environment.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's own
            texts.gettext, texts.ngettext, newstyle=True
        )

    @property
    def policy(self) -> str:
        """The content security policy that these pages keep: this one style sheet, an icon that they bring, their own form."""
        return "; ".join(
            (
                "default-src 'none'",
                f"style-src 'sha256-{self._style_hash}'",
                "img-src data:",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            )
        )

    def render(self, page: Page) -> HTMLResponse:
        """The response that shows a page, which counts as shown."""
        self._shown(page)
        status, again = (_STATUSES[page], _AGAIN.get(page)) if isinstance(page, Notice) else (200, None)
        html = self._environment.get_template(_TEMPLATES[type(page)]).render(page=page, again=again)
        return HTMLResponse(html, status, {"Retry-After": str(again)} if again else None)
