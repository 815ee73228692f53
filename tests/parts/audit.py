"""The API server's audit log: who did what, never what was in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

READS = frozenset({"get", "list", "watch"})

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # The server and its controllers look at everything all the time; what they read is of no interest.
        {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager"], "verbs": sorted(READS)},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": sorted(READS)},
        # Metadata names the object and never holds a body, so no Secret can reach the log.
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call. `resource` is as in RBAC: `secrets`, `usergrants/status`."""

    time: str
    user: str
    verb: str
    resource: str
    namespace: str | None
    name: str | None
    code: int
    pod: str | None = None
    """The Pod that the caller's token is bound to."""

    @property
    def is_write(self) -> bool:
        """Whether the call asked for a change."""
        return self.verb not in READS

    @property
    def account(self) -> str | None:
        """`namespace/name` of the calling ServiceAccount."""
        prefix = "system:serviceaccount:"
        return self.user.removeprefix(prefix).replace(":", "/") if self.user.startswith(prefix) else None


def read(log: Path, since: int = 0) -> list[Call]:
    """Read the calls after the first `since` lines, oldest first. An answer is logged before it is sent."""
    with log.open("rb") as lines:
        complete = [line for line in lines if line.endswith(b"\n")]
    return [_call(orjson.loads(line)) for line in complete[since:]]


def _call(event: dict[str, Any]) -> Call:
    target = event.get("objectRef", {})
    return Call(
        time=event["requestReceivedTimestamp"],
        user=event["user"].get("username", ""),  # nobody, where the token was not recognized
        verb=event["verb"],
        resource="/".join(filter(None, (target.get("resource", event["requestURI"]), target.get("subresource")))),
        namespace=target.get("namespace"),
        name=target.get("name"),
        code=event.get("responseStatus", {}).get("code", 0),
        pod=next(iter(event["user"].get("extra", {}).get("authentication.kubernetes.io/pod-name", ())), None),
    )
