"""The sets that came second and are kept aside, in memory: each is named where its grant is looked at, and ends with it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import structlog

from grantkeeper.core.records import Recovered, read_recovered

log = structlog.get_logger()


@dataclass(slots=True)
class Aside:
    """All sets that are kept aside, by the uid of their grant."""

    _sets: dict[str, dict[str, Recovered]] = field(default_factory=lambda: defaultdict(dict))
    """By the Secret's name."""

    def note(self, body: dict[str, Any], *, gone: bool = False) -> set[str]:
        """Take in a Secret as the API server showed it; the uid of the grant that it concerns."""
        try:
            recovered = read_recovered(body)
        except (ValueError, KeyError):
            log.warning("a set that is kept aside cannot be read", secret=body["metadata"]["name"])
            return set()
        if gone:
            self.drop(recovered)
        else:
            self._sets[recovered.uid][recovered.secret_name] = recovered
        return {recovered.uid}

    def of(self, uid: str) -> list[Recovered]:
        """What is kept aside for a grant, by name."""
        sets = self._sets.get(uid, {})
        return [sets[name] for name in sorted(sets)]

    @property
    def uids(self) -> list[str]:
        """Of all grants for which something is kept aside."""
        return list(self._sets)

    def drop(self, recovered: Recovered) -> None:
        """It is not there any more; another one may bear its name by now."""
        sets = self._sets[recovered.uid]
        if (known := sets.get(recovered.secret_name)) is not None and known.secret_uid == recovered.secret_uid:
            del sets[recovered.secret_name]
        if not sets:
            del self._sets[recovered.uid]

    @property
    def secret_uids(self) -> list[str]:
        """Of all Secrets that are known."""
        return [recovered.secret_uid for recovered in self._all()]

    def forget(self, secret_uid: str) -> None:
        """Drop the one of this Secret: its deletion was missed."""
        for recovered in self._all():
            if recovered.secret_uid == secret_uid:
                self.drop(recovered)

    def _all(self) -> list[Recovered]:
        return [recovered for sets in self._sets.values() for recovered in sets.values()]
