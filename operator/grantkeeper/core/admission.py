"""Whether a connector admits a grant: one of its own namespace always, one of another where `spec.allowedNamespaces` says so.

Both sides have to agree on a use across namespaces, as in the Gateway API. Labels are selected as everywhere in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from grantkeeper.choices import NamespacesFrom, SelectorOperator
from grantkeeper.resources import AllowedNamespaces, LabelRequirement, LabelSelector


class Admission(Enum):
    """What a connector says to a grant."""

    ADMITTED = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    """Its answer depends on labels that have not been read yet: nothing may be concluded from that."""


def judge_admission(allowed: AllowedNamespaces, *, home: str, asking: str, labels: Mapping[str, str] | None) -> Admission:
    """What a connector in the namespace `home` says to a grant in `asking`, whose labels are None as long as nobody knows them."""
    if asking == home or allowed.from_ is NamespacesFrom.ALL:
        return Admission.ADMITTED
    if allowed.from_ is NamespacesFrom.SAME or allowed.selector is None:
        return Admission.REFUSED
    if labels is None:
        return Admission.UNKNOWN
    return Admission.ADMITTED if selects(allowed.selector, labels) else Admission.REFUSED


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether all of a selector holds of these labels; an empty one holds of any."""
    return selector.match_labels.items() <= labels.items() and all(_holds(part, labels) for part in selector.match_expressions)


def _holds(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case SelectorOperator.IN:
            return key in labels and labels[key] in values
        case SelectorOperator.NOT_IN:
            return key not in labels or labels[key] not in values
        case SelectorOperator.EXISTS:
            return key in labels
        case SelectorOperator.DOES_NOT_EXIST:
            return key not in labels
