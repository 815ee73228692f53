"""Somebody who sees everything: every version of every object, every page, every line of every log."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from cluster.leaks import Exhibit
from parts.controlplane import ControlPlane
from parts.person import Person
from parts.waiting import wait_for

Object = dict[str, Any]

API = "/apis/grantkeeper.dev/v1alpha1"
WATCHED = {
    "Secret": "/api/v1/secrets",
    "Event": "/api/v1/events",
    "UserGrant": f"{API}/usergrants",
    "OAuthConnector": f"{API}/oauthconnectors",
}
Part = tuple[str, str]
"""Two steps into an object: `data`, `access_token`."""


@dataclass(slots=True)
class Witness:
    """Keeps what the API server shows of some kinds, from the moment it begins to watch."""

    control_plane: ControlPlane
    seen: list[Object] = field(default_factory=list)

    def watch(self) -> None:
        """Begin, as soon as every kind is served; it ends with the API server."""
        for kind, path in WATCHED.items():
            with self.control_plane.client() as client:
                wait_for(lambda path=path, client=client: client.get(path).is_success, f"{kind} to be served")  # type: ignore[misc]
            threading.Thread(target=self._watch, args=(kind, path), daemon=True).start()

    def catch_up(self) -> None:
        """Return when everything that is there now has been seen. Watches are in order, so what was there before has been, too."""
        with self.control_plane.client() as client:
            there = {_version_of(body) for path in WATCHED.values() for body in client.get(path).json()["items"]}
        wait_for(lambda: there <= {_version_of(body) for body in list(self.seen)}, "everything to be seen")

    def exhibits(self, may_hold: Mapping[tuple[str, str], Mapping[Part, frozenset[str]]]) -> list[Exhibit]:
        """Every version of every object; `may_hold` names the parts that may hold something, by kind and `namespace/name`."""
        return [exhibit for body in list(self.seen) for exhibit in exhibit_object(body, may_hold.get((body["kind"], _name_of(body)), {}))]

    def _watch(self, kind: str, path: str) -> None:
        with (
            suppress(httpx.TransportError),
            self.control_plane.client() as client,
            client.stream("GET", path, params={"watch": "true"}, timeout=None) as answer,
        ):
            for line in answer.iter_lines():
                self.seen.append({**json.loads(line)["object"], "kind": kind})


def exhibit_object(body: Object, may_hold: Mapping[Part, frozenset[str]]) -> list[Exhibit]:
    """An object: the parts that may hold something each by itself, and all the rest together."""
    place = f"{body['kind']} {_name_of(body)}"
    rest, exhibits = json.loads(json.dumps(body)), []
    for (outer, inner), kinds in may_hold.items():
        if (value := (rest.get(outer) or {}).pop(inner, None)) is not None:
            exhibits.append(Exhibit(f"{place} {outer}.{inner}", str(value).encode(), kinds))
    return [*exhibits, Exhibit(place, json.dumps(rest, ensure_ascii=False).encode())]


@dataclass(slots=True)
class Album:
    """The pages of one host as people saw them, headers included, and the `state` of every flow."""

    host: str
    pages: list[Exhibit] = field(default_factory=list)
    states: set[str] = field(default_factory=set)

    def follow(self, person: Person) -> Person:
        """Look over somebody's shoulder."""
        person.browser.event_hooks = {"response": [self._look]}
        return person

    def _look(self, answer: httpx.Response) -> None:
        self.states |= set(parse_qs(urlsplit(str(answer.url)).query).get("state", []))
        if answer.url.netloc.decode() == self.host:
            head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
            place = f"page {answer.status_code} of /{answer.url.path.split('/')[1]}"
            self.pages.append(Exhibit(place, f"{head}\n\n".encode() + answer.read(), frozenset({"request id", "state"})))


def _version_of(body: Object) -> tuple[str, str]:
    return body["metadata"]["uid"], body["metadata"]["resourceVersion"]


def _name_of(body: Object) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"
