"""The application: which address leads where, and what people see when something fails."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from grantkeeper.consent.doors import Doors
from grantkeeper.consent.guarding import Guard, strict_headers
from grantkeeper.consent.measuring import Meter
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.reach import Cluster, Reach
from grantkeeper.consent.tickets import Tickets
from grantkeeper.consent.views import Notice
from grantkeeper.core.catalogue import Preset
from grantkeeper.errors import ClusterError

_log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def _draw() -> str:
    return secrets.token_urlsafe(32)


def build(
    cluster: Cluster,
    pages: Pages,
    meter: Meter,
    *,
    external_url: str,
    operator_namespace: str,
    presets: Mapping[str, Preset],
    clock: Callable[[], datetime] = _now,
    draw: Callable[[], str] = _draw,
) -> ASGIApp:
    """The pages of an installation that people reach under `external_url`: https, or http on a loopback host for development.

    A path in it stands before every address here too: what routes people to this process leaves paths as they are.
    """
    external_url = external_url.rstrip("/")
    path, is_secure = urlsplit(external_url).path, urlsplit(external_url).scheme == "https"
    doors = Doors(external_url, Reach(cluster, operator_namespace), pages, Tickets(secure=is_secure), meter, clock, draw, presets)

    def refuse(_: Request, failure: Exception) -> Response:
        if not isinstance(failure, HTTPException) or failure.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            return pages.render(Notice.UNKNOWN)
        response = pages.render(Notice.METHOD)
        response.headers.update(failure.headers or {})
        return response

    def excuse(request: Request, failure: Exception) -> Response:
        _log.warning("The API server did not do what was asked", failure=type(failure).__name__, method=request.method)
        return pages.render(Notice.TROUBLE)

    def apologise(_: Request, __: Exception) -> Response:
        return pages.render(Notice.FAULT)

    app = Starlette(
        routes=[
            Route(f"{path}/", doors.root),
            Route(f"{path}/consent/{{namespace}}/{{grant}}/{{request_id}}", doors.follow, methods=["GET", "POST"]),
            Route(f"{path}/callback/{{namespace}}/{{connector}}", doors.receive),
        ],
        exception_handlers={HTTPException: refuse, ClusterError: excuse, Exception: apologise},
    )
    # Such redirects would repeat the Host header.
    app.router.redirect_slashes = False
    return Guard(app, strict_headers(pages.policy, secure=is_secure), lambda: pages.render(Notice.UNKNOWN))
