"""Watches every version of what the controllers write: sealed Secrets, delivered Secrets, statuses.

Between two watches nothing is missed, or the run proves nothing and says so.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from time import time
from typing import Any

import aiohttp
import orjson

from chaos.evidence import Claimed, Copy, Evidence, Report, Sealed, brief
from grantkeeper.adapters.login import Credentials
from grantkeeper.core.records import GRANT_ANNOTATION, KIND_LABEL
from parts import PartFailed

Object = dict[str, Any]

GENERATION, EXPIRES = "grantkeeper.dev/generation", "grantkeeper.dev/expires-at"
_AGAIN_AFTER = 0.2


@dataclass(slots=True)
class Sights:
    """Keeps what is shown of the grants of one namespace, as evidence; and the newest of each kind."""

    evidence: Evidence
    heard: Callable[[Report], None]
    """Called with each report."""
    reports: dict[str, Report] = field(default_factory=dict)
    sealed: dict[str, Sealed] = field(default_factory=dict)
    copies: dict[str, Copy] = field(default_factory=dict)

    async def watch(self, credentials: Credentials, namespace: str, home: str) -> None:
        """Watch until cancelled."""
        label = f"{KIND_LABEL}="
        api, own = f"{credentials.server}/api/v1/namespaces", f"{credentials.server}/apis/grantkeeper.dev/v1alpha1/namespaces"
        token = credentials.token.get_secret_value() if credentials.token else ""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=credentials.trust()),
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**20,
        ) as session:
            await asyncio.gather(
                _follow(session, f"{api}/{home}/secrets", f"{label}sealed", self._see_sealed),
                _follow(session, f"{api}/{namespace}/secrets", f"{label}delivered", self._see_copy),
                _follow(session, f"{own}/{namespace}/usergrants", "", self._see_report),
            )

    def _see_sealed(self, body: Object, *, gone: bool) -> None:
        if not gone:
            seen = read_sealed(body, time())
            self.sealed[seen.grant] = seen
            self.evidence.sealed.append(seen)

    def _see_copy(self, body: Object, *, gone: bool) -> None:
        seen = read_copy(body, time(), gone=gone)
        self.copies[seen.grant] = seen
        self.evidence.copies.append(seen)

    def _see_report(self, body: Object, *, gone: bool) -> None:
        if not gone:
            seen = read_report(body, time())
            self.reports[seen.grant] = seen
            self.evidence.reports.append(seen)
            self.heard(seen)


def read_sealed(body: Object, now: float) -> Sealed:
    """A version of a sealed Secret."""
    metadata, data = body["metadata"], body.get("data") or {}
    meta = orjson.loads(base64.b64decode(data["meta"])) if "meta" in data else {}
    claim = orjson.loads(base64.b64decode(data["claim"])) if "claim" in data else None
    return Sealed(
        grant=metadata["annotations"][GRANT_ANNOTATION].partition("/")[2],
        version=int(metadata["resourceVersion"]),
        seen_at=now,
        generation=int(meta.get("generation", 0)),
        tokenset=brief(hashlib.sha256(data["tokenset"].encode()).hexdigest()) if "tokenset" in data else "",
        claim=Claimed(claim["attempt"], claim["holder"]["pod"], claim["holder"]["boot"], brief(claim["hash"]), bool(claim.get("lost")))
        if claim
        else None,
    )


def read_copy(body: Object, now: float, *, gone: bool = False) -> Copy:
    """A version of a delivered Secret."""
    metadata, data = body["metadata"], body.get("data") or {}
    annotations = metadata.get("annotations") or {}
    token = base64.b64decode(data["access_token"]) if "access_token" in data and not gone else b""
    return Copy(
        grant=next((owner["name"] for owner in metadata.get("ownerReferences", ())), ""),
        version=int(metadata["resourceVersion"]),
        seen_at=now,
        generation=int(annotations.get(GENERATION, 0)),
        access_token=brief(hashlib.sha256(token).hexdigest()) if token else "",
        expires=annotations.get(EXPIRES, ""),
    )


def read_report(body: Object, now: float) -> Report:
    """A version of a grant's status."""
    status = body.get("status") or {}
    ready: Object = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    return Report(
        grant=body["metadata"]["name"],
        version=int(body["metadata"]["resourceVersion"]),
        seen_at=now,
        generation=int(status.get("tokenGeneration") or 0),
        is_ready=ready.get("status") == "True",
        reason=ready.get("reason", ""),
        expires=status.get("expirationTime", ""),
        link=status.get("consentURL", ""),
    )


async def _follow(session: aiohttp.ClientSession, url: str, labels: str, see: Callable[..., None]) -> None:
    """Watch from the beginning, and each time from where the last one ended."""
    query = {"labelSelector": labels} if labels else {}
    async with session.get(url, params=query) as listed:
        listed.raise_for_status()
        found = orjson.loads(await listed.read())
    for body in found["items"]:
        see(body, gone=False)
    version = found["metadata"]["resourceVersion"]
    while True:
        with suppress(aiohttp.ClientError):
            watching = {**query, "watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "7200"}
            async with session.get(url, params=watching) as events:
                async for line in events.content:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        if event["object"].get("code") == HTTPStatus.GONE:
                            raise PartFailed("a watch of the run fell so far behind that versions were missed; it proves nothing now")
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        see(event["object"], gone=event["type"] == "DELETED")
        await asyncio.sleep(_AGAIN_AFTER)
