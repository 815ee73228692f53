"""Respect the claims of others: while one may still be at work, what it claimed is not presented here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from grantkeeper.adapters.cluster import PODS, Cluster
from grantkeeper.core.records import Claim, Holder
from grantkeeper.errors import ClusterError, NotFound

CLAIM_RESPECTED_FOR = timedelta(seconds=35)
"""How long another holder's claim is respected while it does not change: twice the time of a token request, and 15 s."""


@dataclass(slots=True)
class Respect:
    """What one holder owes to the others. Foreign claims are timed from when they were first seen here."""

    holder: Holder
    cluster: Cluster
    namespace: str
    """The operator's, in which its Pods are."""
    monotonic: Callable[[], float] = time.monotonic
    _gone: set[str] = field(default_factory=set)
    """Uids of Pods that are not there any more."""
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def until(self, uid: str, claim: Claim | None, now: datetime, *, is_covered: bool = False) -> datetime | None:
        """Until when a claim keeps us away: not at all when it says itself that it is over, is ours, or an earlier life's of this Pod.

        `is_covered`: what it claimed may be presented again, by the server's leeway.
        """
        if claim is None or claim.lost or self._is_over(claim, is_covered=is_covered):
            self._seen.pop(uid, None)
            return None
        attempt, since = self._seen.get(uid, ("", 0.0))
        if attempt != claim.attempt:
            since = self.monotonic()
            self._seen[uid] = (claim.attempt, since)
        left = CLAIM_RESPECTED_FOR - timedelta(seconds=self.monotonic() - since)
        return now + left if left > timedelta(0) else None

    def _is_over(self, claim: Claim, *, is_covered: bool) -> bool:
        """Whether its holder surely presents nothing any more, or does no harm by it."""
        return claim.holder.is_a_life_of(self.holder) or (is_covered and claim.holder.pod in self._gone)

    async def seek(self, claim: Claim) -> bool:
        """Whether the Pod of another's claim is gone: then its claim keeps nobody away from what a leeway still covers.

        Without a leeway this proves nothing: a node that is cut off may still run what the API server has forgotten.
        """
        if claim.holder.pod in self._gone:
            return True
        if claim.holder.pod_name is None:
            return False
        try:
            found = await self.cluster.get(PODS, self.namespace, claim.holder.pod_name)
        except NotFound:
            found = {"metadata": {"uid": None}}
        except ClusterError:
            return False
        if found["metadata"]["uid"] == claim.holder.pod:
            return False
        self._gone.add(claim.holder.pod)
        return True

    def forget(self, uid: str) -> None:
        """The grant is gone."""
        self._seen.pop(uid, None)
