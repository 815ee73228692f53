"""Who leads: what a replica does about the Lease, by what it has seen of it itself.

Two machines' clocks are never compared. Another's lease is over when it has not changed for as long as it says, measured here,
from when this version of it was first seen. What is at stake is work that is done twice; tokens are guarded by their claims.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from grantkeeper.core.records import Holder

LEASE_NAME = "grantkeeper-controller"
LASTS = timedelta(seconds=15)
"""How long a lease holds without being renewed."""
RENEW_EVERY = timedelta(seconds=5)
GIVE_UP_AFTER = timedelta(seconds=10)
"""Who could not renew for so long leads no more: what was claimed just before that is on its way before anybody else may lead."""
LOOK_EVERY = timedelta(seconds=1)
"""How often those that stand by look, and how soon a renewal that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One life of the process in a Pod, by the Pod's name, for people, and by what a claim holds of it."""

    pod_name: str
    holder: Holder

    @property
    def identity(self) -> str:
        """What stands in the Lease: the Pod's name, its uid, and the boot."""
        return f"{self.pod_name}/{self.holder.pod}/{self.holder.boot}"

    def outlives(self, identity: str) -> bool:
        """Whether an identity is an earlier life's of this very Pod, and so provably dead."""
        match identity.split("/"):
            case [_, pod, boot]:
                return pod == self.holder.pod and boot != self.holder.boot
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was read."""

    holder: str
    """The identity of who leads; empty where nobody does."""
    lasts: timedelta
    transitions: int
    version: str
    body: dict[str, Any] = field(repr=False)


class Move(Enum):
    """What a leader does."""

    REST = auto()
    RENEW = auto()
    LOSE = auto()
    """Somebody else leads, or may by now."""


def surely_holds(renewed_ago: timedelta) -> bool:
    """Whether nobody else can lead yet, by the time since the last renewal that succeeded was sent."""
    return renewed_ago < GIVE_UP_AFTER


def judge(lease: Lease | None, us: Replica, *, renewed_ago: timedelta) -> Move:
    """What a leader does, given the Lease as it was last read or written; None where it is not there any more."""
    if not surely_holds(renewed_ago) or (lease is not None and lease.holder != us.identity):
        return Move.LOSE
    return Move.RENEW if lease is None or renewed_ago >= RENEW_EVERY else Move.REST


def wait_before_taking(lease: Lease | None, us: Replica, *, unchanged_for: timedelta) -> timedelta:
    """How long a replica that stands by lets the Lease be if nobody touches it; nothing where it may take it now.

    That it is in our own name means that it was given to us, and the answer that said so was lost.
    """
    if lease is None or not lease.holder or lease.holder == us.identity or us.outlives(lease.holder):
        return timedelta(0)
    return max(timedelta(0), lease.lasts - unchanged_for)


def read_lease(body: dict[str, Any]) -> Lease:
    """Read a Lease as the API server shows it; what somebody left out of it counts as ours would."""
    spec = body.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    return Lease(
        holder=spec.get("holderIdentity") or "",
        lasts=timedelta(seconds=seconds) if seconds else LASTS,
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
        body=body,
    )


def write_lease(before: Lease | None, holder: str, *, namespace: str, now: datetime) -> dict[str, Any]:
    """The Lease in the name of `holder`, nobody's where that is empty, in the place of the version before. Its times are for people."""
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = before.body if before is not None else {"metadata": {"name": LEASE_NAME, "namespace": namespace}}
    known = body.get("spec") or {}
    is_new = before is None or before.holder != holder
    spec = {**known, "holderIdentity": holder, "leaseDurationSeconds": int(LASTS.total_seconds()), "renewTime": moment}
    if is_new and holder:
        spec |= {"acquireTime": moment, "leaseTransitions": before.transitions + 1 if before is not None else 0}
    return {**body, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
