"""What a process says of itself to kubelet and to Prometheus, on a port that people do not reach."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

Problem = Callable[[], str | None]
"""Looks, and says in a sentence what is wrong; None where nothing is."""


def open_registry() -> CollectorRegistry:
    """A registry of a process's own, with what the kernel knows of the process: memory, processor time, open files."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made says nothing that its restart at 0 does not say
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def build(registry: CollectorRegistry, *, health: Problem, readiness: Problem) -> ASGIApp:
    """`/healthz`: whether a restart would help; `/readyz`: whether the work is being done; `/metrics`: how much of it."""

    async def healthz(_: Request) -> Response:
        return _judge(health())

    async def readyz(_: Request) -> Response:
        return _judge(readiness())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


def _judge(problem: str | None) -> Response:
    return PlainTextResponse("ok\n") if problem is None else PlainTextResponse(f"{problem}\n", 503)
