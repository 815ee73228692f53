"""The first example, with this machine's values in the few places where a reader would put their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import yaml

from demo.settings import ROOT
from parts import PartFailed

Object = dict[str, Any]

DIRECTORY = ROOT / "examples" / "01-first-grant"
NAMESPACE = "first-grant"
CONNECTOR, GRANT, CONSUMER = "connector.yaml", "grant.yaml", "consumer.yaml"


@dataclass(frozen=True, slots=True)
class Substitution:
    """One field of connector.yaml that gets another value; `shown` is what people are told about it."""

    kind: str
    field: tuple[str, ...]
    value: str
    shown: str


def substitutions(*, issuer: str, ca_bundle: str, client_secret: str) -> tuple[Substitution, ...]:
    """Everything in which the applied example differs from its files."""
    return (
        Substitution("OAuthConnector", ("spec", "issuer"), issuer, issuer),
        Substitution("OAuthConnector", ("spec", "caBundle"), ca_bundle, "the certificate made a moment ago"),
        Substitution("Secret", ("stringData", "clientSecret"), client_secret, "made up for this run"),
    )


def read(file: str, replaced: tuple[Substitution, ...] = ()) -> list[Object]:
    """Return the manifests of one file of the example, with these fields replaced."""
    manifests: list[Object] = list(yaml.safe_load_all((DIRECTORY / file).read_text()))
    for substitution in replaced:
        for manifest in _of_kind(manifests, substitution.kind, file):
            *path, last = substitution.field
            reduce(lambda part, name: part.setdefault(name, {}), path, manifest)[last] = substitution.value
    return manifests


def client_id() -> str:
    """The client as which the example's connector is to be registered."""
    return str(_of_kind(read(CONNECTOR), "OAuthConnector", CONNECTOR)[0]["spec"]["clientID"])


def _of_kind(manifests: list[Object], kind: str, file: str) -> list[Object]:
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    if not found:
        raise PartFailed(f"{DIRECTORY / file} has no {kind} any more; the demo does not know this example.")
    return found
