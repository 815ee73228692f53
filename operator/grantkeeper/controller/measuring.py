"""What the controller counts of its work. A connector and words of ours are all that a label may hold: nothing of a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from prometheus_client import Counter as Total
from prometheus_client import Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from grantkeeper.adapters.observing import open_registry
from grantkeeper.controller.registry import Name
from grantkeeper.core.messages import Answer
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderError
from grantkeeper.resources import UserGrant

Endpoint = Literal["discovery", "jwks", "revocation", "token", "userinfo"]

UNJUDGED = "Unjudged"
"""In the place of a reason, until a grant has its first."""
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
"""A refresh has 15 s for the server; what lies above waited for the API server."""


class Meter:
    """The numbers of one controller, in a registry of their own.

    `grants` gives all that are known, and `leads` whether it is this replica that works, whenever somebody asks.
    """

    def __init__(self) -> None:
        self.registry = open_registry()
        self.grants: Callable[[], Iterable[UserGrant]] = tuple
        self.registry.register(_Grants(self))
        self.leads: Callable[[], bool] = lambda: False
        leading = Gauge("grantkeeper_leader", "1 for the replica that leads, 0 for those that stand by.", registry=self.registry)
        leading.set_function(lambda: float(self.leads()))
        self.left: Callable[[], Iterable[object]] = tuple
        unstored = Gauge(
            "grantkeeper_unstored_tokens",
            "Token answers that the API server refuses to store, and that wait in the journal: it should be 0.",
            registry=self.registry,
        )
        unstored.set_function(lambda: float(len(list(self.left()))))
        self._refreshes = Total(
            "grantkeeper_refresh_total",
            "Refresh tokens presented, by what the token endpoint made of them.",
            ("connector", "outcome"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "grantkeeper_refresh_duration_seconds",
            "Time from the claim on a refresh token until the outcome is stored.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._exchanges = Total(
            "grantkeeper_exchange_total",
            "Codes presented, by what the token endpoint made of them.",
            ("outcome",),
            registry=self.registry,
        )
        self._requests = Total(
            "grantkeeper_provider_requests_total",
            "Requests to authorization servers, by the class of their status, or how far they came.",
            ("connector", "endpoint", "outcome"),
            registry=self.registry,
        )
        self._delivered = Total(
            "grantkeeper_delivered_total",
            "Secrets written into the namespaces of grants.",
            registry=self.registry,
        )

    def count_refresh(self, connector: Name, result: object, seconds: float) -> None:
        """A refresh is over; `result` is an outcome or Unsent, whose class is the word."""
        self._refreshes.labels("/".join(connector), _word(result)).inc()
        self._durations.observe(seconds)

    def count_exchange(self, result: object) -> None:
        """An exchange is over; `result` as above."""
        self._exchanges.labels(_word(result)).inc()

    def count_delivery(self) -> None:
        """A Secret was written."""
        self._delivered.inc()

    async def follow(self, connector: Name, endpoint: Endpoint, request: Awaitable[Answer]) -> Answer:
        """Await a request to an authorization server, and count what came of it."""
        outcome = "cancelled"
        try:
            answer = await request
            outcome = f"{answer.status // 100}xx"
        except ProviderError as error:
            outcome = _distance(error)
            raise
        finally:
            self._requests.labels("/".join(connector), endpoint, outcome).inc()
        return answer


class _Grants(Collector):
    """Counts the grants when it is asked: a number that is kept along can be wrong."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One sample for each connector and reason that there is."""
        family = GaugeMetricFamily("grantkeeper_grants", "Grants, by the reason of their Ready condition.", labels=("connector", "reason"))
        for labels, number in Counter(map(_describe, self._meter.grants())).items():
            family.add_metric(labels, number)
        yield family


def _describe(grant: UserGrant) -> tuple[str, str]:
    ready = next((condition.reason for condition in grant.status.conditions if condition.type == "Ready"), UNJUDGED)
    return "/".join(grant.connector_name), ready


def _word(result: object) -> str:
    return type(result).__name__.lower()


def _distance(error: ProviderError) -> str:
    match error:
        case AnswerLost():
            return "lost"
        case ProviderDistrusted():
            return "distrusted"
        case _:
            return "unsent"
