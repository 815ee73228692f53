"""Whether revoking one grant's tokens may end another's: many servers revoke a person's whole consent with any of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another grant of the same connector that holds tokens and is not being deleted."""

    account: str | None


def may_revoke(account: str | None, siblings: Sequence[Sibling]) -> bool:
    """Only where no sibling holds the same account; an account that is not known could be anybody's."""
    if account is None:
        return not siblings
    return all(sibling.account not in {None, account} for sibling in siblings)
