"""What an attempt has gained, as data: it can be written over a claim now, or by the next life of the process from its journal.

A gain fits wherever the sealed Secret still holds the set that the attempt started from, whoever holds the claim by now: a server
gives a successor once, so what was gained from that set is newer than it. Where another successor is stored, the two are siblings,
and the one that came second is kept aside.
"""

from __future__ import annotations

import hashlib

from pydantic import Field

from grantkeeper.core.records import Attempt, Delivery, Meta, Record, Sealed, answer_refresh


class Gain(Record):
    """One sealed token set, and what is written with it."""

    uid: str
    namespace: str
    name: str
    attempt: str
    parent: str | None
    """Digest of the `tokenset` that the attempt started from; None where there was none."""
    tokenset: str = Field(repr=False)
    meta: Meta
    outcome: Attempt
    requests: tuple[str, ...] | None = Field(default=None, repr=False)
    """As they are afterwards; None where they stay as they are."""
    deliveries: dict[str, Delivery] = Field(default_factory=dict)
    """Ids for Secrets that none is recorded for."""
    refresh_wish: str = ""
    """What a refresh was asked for with, which this answers."""

    @classmethod
    def of(
        cls, claimed: Sealed, attempt: str, tokenset: str, meta: Meta, outcome: Attempt, *, requests: tuple[str, ...] | None = None
    ) -> Gain:
        """What an attempt on `claimed` has gained."""
        return cls(
            uid=claimed.uid,
            namespace=claimed.namespace,
            name=claimed.name,
            attempt=attempt,
            parent=digest(claimed.tokenset),
            tokenset=tokenset,
            meta=meta,
            outcome=outcome,
            requests=requests,
        )

    def is_in(self, standing: Sealed) -> bool:
        """Whether it has been stored: a write may succeed and its answer be lost."""
        return standing.meta is not None and standing.meta.attempt == self.attempt

    def fits(self, standing: Sealed) -> bool:
        """Whether it may be written there."""
        is_ours = standing.claim is not None and standing.claim.attempt == self.attempt
        return is_ours or digest(standing.tokenset) == self.parent

    def put_into(self, standing: Sealed) -> Sealed:
        """The sealed Secret with the gain in it."""
        return standing.model_copy(
            update={
                "tokenset": self.tokenset,
                "profile": None,
                "claim": None,
                "meta": self.meta,
                "outcome": self.outcome,
                "requests": standing.requests if self.requests is None else self.requests,
                "deliveries": {**self.deliveries, **standing.deliveries},
                "handled": answer_refresh(standing.handled, self.refresh_wish, self.outcome.time),
            }
        )


def digest(tokenset: str | None) -> str | None:
    """Tells two sealed sets apart."""
    return None if tokenset is None else hashlib.sha256(tokenset.encode()).hexdigest()
