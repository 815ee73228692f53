"""Objects as they are kept by the thousand: small, and with nothing in them twice that all of them repeat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grantkeeper.core.records import Attempt, Delivery, Meta, Sealed
from grantkeeper.core.rendering import DeliveredCopy
from grantkeeper.objects import Condition, Metadata
from grantkeeper.resources import Account, ConnectorRef, ConsentRequestStatus, SecretSpec, UserGrant, UserGrantSpec, UserGrantStatus

TIME = "2026-11-21T06:30:00Z"
KEPT = (UserGrant, UserGrantSpec, UserGrantStatus, ConnectorRef, SecretSpec, ConsentRequestStatus, Account, Metadata, Condition)


def read(**metadata: Any) -> UserGrant:
    said = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": TIME}
    body = {
        "metadata": {"name": "alice", "namespace": "team-a", "uid": "1", "resourceVersion": "7", **metadata},
        "spec": {"connectorRef": {"name": "calendar"}, "user": "alice@example.com", "secrets": [{"name": "alice-token"}]},
        "status": {"conditions": [said, {**said, "type": "Fresh"}]},
    }
    return UserGrant.read(json.loads(json.dumps(body)))  # with texts of its own, as the API server's are


@pytest.mark.parametrize("kind", [*KEPT, Sealed, Attempt, Delivery, Meta, DeliveredCopy], ids=lambda kind: kind.__name__)
def test_what_is_kept_of_every_grant_has_slots_and_no_dictionary(kind: type) -> None:
    assert kind.__dictoffset__ == 0


def test_what_two_objects_have_in_common_is_in_memory_once() -> None:
    one, other = read(), read()
    assert one.metadata.namespace is other.metadata.namespace
    assert one.spec.connector_ref.name is other.spec.connector_ref.name
    assert one.status.conditions[0].reason is other.status.conditions[0].reason
    assert one.status.conditions[0].last_transition_time is other.status.conditions[1].last_transition_time
    assert one.spec.secrets[0].labels is other.metadata.annotations


def test_of_annotations_ours_are_kept() -> None:
    theirs = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "grantkeeper.dev.example.com/note": "n"}
    assert read(annotations={**theirs, "grantkeeper.dev/connect": "c"}).metadata.annotations == {"grantkeeper.dev/connect": "c"}
    assert read(annotations=theirs).metadata.annotations == {}


@pytest.mark.parametrize("stated", [7, "a", {"grantkeeper.dev/connect": 7}])
def test_annotations_that_are_none_are_refused(stated: object) -> None:
    with pytest.raises(ValueError, match="annotations"):
        read(annotations=stated)


def test_a_moment_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="deletionTimestamp"):
        read(deletionTimestamp="soon")
