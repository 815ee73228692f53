"""What each account may do, to the last verb: the table that the chart and the real API server are held to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Rights = dict[str, set[str]]
"""Verbs by resource; a resource of the core group bears no group."""

READ = {"get", "list", "watch"}

EVERYWHERE: dict[str, Rights] = {
    "controller": {
        "usergrants.grantkeeper.dev": {*READ, "patch"},
        "usergrants/status.grantkeeper.dev": {"patch"},
        "oauthconnectors.grantkeeper.dev": {*READ, "patch"},
        "oauthconnectors/status.grantkeeper.dev": {"patch"},
        "secrets": {*READ, "create", "update", "delete"},
        "events": {"create"},
        "namespaces": READ,
    },
    "consent": {
        "usergrants.grantkeeper.dev": {"get"},
        "oauthconnectors.grantkeeper.dev": {"get"},
    },
}
AT_HOME: dict[str, Rights] = {
    "controller": {
        "secrets": {*READ, "create", "update", "patch", "delete", "deletecollection"},
        "pods": {"get"},
        "leases.coordination.k8s.io": {"get", "create", "update"},
    },
    "consent": {"secrets": {"create"}},
}
"""In the release's own namespace, besides."""

IN_A_LISTED_NAMESPACE: Rights = {"secrets": EVERYWHERE["controller"]["secrets"]}
"""What the controller may do in each of `watch.namespaces`, instead of everywhere."""


def collect(rules: Iterable[dict[str, Any]]) -> Rights:
    """Gather the verbs of RBAC rules by resource."""
    rights: Rights = defaultdict(set)
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights[f"{resource}.{group}" if group else resource] |= set(rule["verbs"])
    return dict(rights)


def together(*several: Rights) -> Rights:
    """What somebody may do who has all of these rights."""
    rights: Rights = defaultdict(set)
    for one in several:
        for resource, verbs in one.items():
            rights[resource] |= verbs
    return dict(rights)
