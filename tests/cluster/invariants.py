"""What must come to hold once everything has settled: for what was done to each grant, and between what is there.

Each check yields sentences; none means that all is well. They compare what is reported with what is sealed, delivered and known to
the authorization server, and never with what the operator thinks.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cluster.everyday import FAULTY, ClientSecret, Connector, Fate, Grant, Life, Name, Object
from cluster.sealed_sets import Cabinet
from cluster.stage import condition, status
from grantkeeper.controller.seals import OpenedTokens
from grantkeeper.core.records import Sealed, read_sealed
from grantkeeper.resources import OAuthConnector

CLOCKS_DIFFER = timedelta(seconds=10)
"""By so much an expiry may be earlier here than at the server: lifetimes are counted from before the request was sent."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is there, as one look found it."""

    grants: dict[Name, Object]
    connectors: dict[Name, Object]
    secrets: dict[Name, Object]

    @classmethod
    def look(cls, life: Life) -> Scene:
        """Look once."""
        kinds = ("/apis/grantkeeper.dev/v1alpha1/usergrants", "/apis/grantkeeper.dev/v1alpha1/oauthconnectors", "/api/v1/secrets")
        return cls(*({_name_of(body): body for body in (life.find(path) or {})["items"]} for path in kinds))


@dataclass(frozen=True, slots=True)
class Case:
    """One grant with all that belongs to it."""

    life: Life
    scene: Scene
    grant: Grant
    body: Object
    sealed: Sealed | None
    opened: OpenedTokens | None

    def reason(self, kind: str) -> str:
        """The reason of one condition."""
        return str(condition(self.body, kind)["reason"])


# What must come to hold once everything has settled


def find_unsettled(life: Life) -> list[str]:
    """What is not yet, or never comes to be, as it must."""
    scene = Scene.look(life)
    return [
        *_leftovers(life, scene),
        *_connectors(life, scene),
        *(f for grant in life.grants if grant.spec for f in _grant(life, scene, grant)),
    ]


def _grant(life: Life, scene: Scene, grant: Grant) -> Iterator[str]:
    who = f"{grant.namespace}/{grant.name}"
    body = scene.grants.get((grant.namespace, grant.name))
    if body is None or body["metadata"]["uid"] != grant.uid:
        yield f"{who} is not there"
        return
    stored = scene.secrets.get((life.installation.namespace, f"grant-{grant.uid}"))
    sealed = read_sealed(stored) if stored else None
    connector = scene.connectors.get((grant.namespace, grant.connector.name))
    opened = Cabinet(life).open_record(sealed, OAuthConnector.read(connector)) if sealed and connector else None
    case = Case(life, scene, grant, body, sealed, opened)
    for check in (_expected, _told_truly, _introspected, _delivered):
        yield from (f"{who}: {sentence}" for sentence in check(case))


def _expected(case: Case) -> Iterator[str]:
    """Ready gives a reason that what was done admits, of this very spec, and nothing is under way."""
    metadata, told = case.body["metadata"], status(case.body)
    admitted, given = case.life.reasons(case.grant), case.reason("Ready")
    if given not in admitted:
        yield f"Ready says {given!r}, and must say {' or '.join(sorted(admitted))}"
    if told.get("observedGeneration") != metadata["generation"]:
        yield f"generation {metadata['generation']} of the spec is not observed, only {told.get('observedGeneration')}"
    can_go_on = case.grant.connector.is_sound and not case.grant.is_replaced and case.reason("Authorized") != Fate.DEAD
    if case.sealed and case.sealed.claim is not None and can_go_on:
        yield "a claim stands"
    may_hold = any(fate.holds_tokens for fate in case.grant.fates)
    if case.sealed and case.sealed.tokenset is not None and not may_hold:
        yield "tokens are sealed, and nobody has consented"
    if not case.grant.may_be_finalized and metadata.get("finalizers"):
        yield "a finalizer is there, and no code was ever presented"


def _told_truly(case: Case) -> Iterator[str]:
    """Status agrees with what is sealed."""
    told, sealed, opened = status(case.body), case.sealed, case.opened
    if sealed is None or sealed.tokenset is None:
        found = {key: told[key] for key in ("expirationTime", "account", "tokenGeneration", "grantedScopes") if key in told}
        if found or told.get("tokenState") != "Inactive":
            yield f"nothing is sealed, and status says {told.get('tokenState')} and {sorted(found)}"
        return
    if opened is None:
        return  # no connector fits; that is judged by the reason
    tokens, now = opened.tokens, datetime.now(UTC)
    assert tokens.expires_at is not None
    expected = {
        "tokenGeneration": opened.generation,
        "expirationTime": _text(tokens.expires_at),
        "lastRefreshTime": _text(tokens.obtained_at),
        "account": {"subject": case.grant.account},
        "grantedScopes": sorted((tokens.scope or "").split()),
        "sealedSecretName": sealed.secret_name,
    }
    for key, value in expected.items():
        if told.get(key) != value:
            yield f"status.{key} is {told.get(key)}, and sealed is {value}"
    if case.reason("Ready") == "Ready" and "failedRefreshes" not in told:
        connector = case.scene.connectors[case.grant.namespace, case.grant.connector.name]
        latest = (tokens.expires_at - tokens.obtained_at) * connector["spec"]["refresh"]["lifetimePercent"] / 100
        due = datetime.fromisoformat(told["nextRefreshTime"]) - tokens.obtained_at
        if not latest * 0.95 - timedelta(seconds=1) <= due <= latest:
            yield f"the next refresh is due {due} after the last, and should be up to 5 % before {latest}"
    lives = now < tokens.expires_at
    state = "Active" if lives else "Inactive" if case.reason("Authorized") == Fate.DEAD else "Expired"
    if told.get("tokenState") != state:
        yield f"status.tokenState is {told.get('tokenState')}, and the token is {state}"
    if (condition(case.body, "Fresh")["status"] == "True") != lives:
        yield f"Fresh is {condition(case.body, 'Fresh')['status']}, and the token {'lives' if lives else 'has expired'}"


def _introspected(case: Case) -> Iterator[str]:
    """What the server says of the token that is held. What it has dropped, or a refused retry has ended, nobody here can know."""
    if case.opened is None or case.grant.is_forgotten or case.reason("Authorized") == Fate.DEAD:
        return
    tokens = case.opened.tokens
    said = case.life.auth_server.introspect(tokens.access_token.get_secret_value())
    if said["active"] != (status(case.body).get("tokenState") == "Active"):
        yield f"tokenState is {status(case.body).get('tokenState')}, and the server says active: {said['active']}"
    elif said["active"] and tokens.expires_at is not None:
        ahead = datetime.fromtimestamp(said["exp"], UTC) - tokens.expires_at
        if not timedelta(seconds=-1) <= ahead <= CLOCKS_DIFFER:
            yield f"the server's expiry is {ahead} later than ours"


def _delivered(case: Case) -> Iterator[str]:
    """What is delivered is what is sealed, byte for byte, and nothing stands that is not asked for."""
    grant, asked = case.grant, {entry["name"]: entry for entry in case.grant.entries}
    for (namespace, name), secret in case.scene.secrets.items():
        if owner_of(secret) == grant.uid and (namespace != grant.namespace or name not in asked):
            yield f"Secret {namespace}/{name} stands, and is not asked for"
    if case.opened is None:
        return
    for name, entry in asked.items():
        if (grant.namespace, name) in case.life.foreign or FAULTY in entry.get("templates", {}).values():
            continue
        body = case.scene.secrets.get((grant.namespace, name))
        if body is None or owner_of(body) != grant.uid:
            yield f"Secret {name} is not delivered"
            continue
        held = {key: base64.b64decode(value).decode() for key, value in (body.get("data") or {}).items()}
        wanted = _files(entry, case.opened, grant)
        if differing := sorted(key for key in {**held, **wanted} if _plain(key, held) != _plain(key, wanted)):
            yield f"Secret {name} differs from what is sealed in {differing}"
        labels = {key: value for key, value in body["metadata"]["labels"].items() if key == "team"}
        if entry.get("labels") and labels != entry["labels"]:
            yield f"Secret {name} has the labels {labels}"
        if body["metadata"]["annotations"].get("grantkeeper.dev/generation") != str(case.opened.generation):
            yield f"Secret {name} is of another generation"


def _files(entry: Object, opened: OpenedTokens, grant: Grant) -> dict[str, str]:
    """The files of a delivered Secret, as crds/README.md promises them."""
    tokens = opened.tokens
    token = tokens.access_token.get_secret_value()
    assert tokens.expires_at is not None
    members = {"access_token": token, "token_type": "Bearer", "expires_at": _text(tokens.expires_at), "scope": tokens.scope or ""}
    forms = {
        "Token": members,
        "Header": {"authorization": f"Bearer {token}", "header": f"Authorization: Bearer {token}\n"},
        "JSON": {"token.json": json.dumps(members)},
        "Env": {entry.get("env", ""): token},
    }
    filled = {
        "Bearer [[ access_token ]]": f"Bearer {token}",
        "[[ user ]]:[[ account ]]": f"{grant.account}:{grant.account}",
        "[[ access_token | b64enc ]]": base64.b64encode(token.encode()).decode(),
    }
    return forms[entry.get("format", "Token")] | {key: filled[text] for key, text in entry.get("templates", {}).items()}


def _plain(key: str, files: dict[str, str]) -> object:
    return json.loads(files[key]) if key.endswith(".json") and key in files else files.get(key)


def _connectors(life: Life, scene: Scene) -> Iterator[str]:
    for connector in life.connectors:
        body = scene.connectors.get((connector.namespace, connector.name))
        if (body is not None) != connector.exists:
            yield f"connector {connector.name} of {connector.namespace}: that it is there is {body is not None}"
        elif body is not None and condition(body, "Ready")["reason"] not in _connector_reasons(connector):
            yield f"connector {connector.name} of {connector.namespace} says {condition(body, 'Ready')['reason']}"
        elif body is not None and status(body).get("observedGeneration") != body["metadata"]["generation"]:
            yield f"an edit of connector {connector.name} of {connector.namespace} is not observed"


def _connector_reasons(connector: Connector) -> set[str]:
    """A client Secret is read when it is needed, so one that goes or is spoiled shows later."""
    worse = {
        ClientSecret.RIGHT: set[str](),
        ClientSecret.WRONG: {"ClientRejected"},
        ClientSecret.UNLABELLED: {"SecretNotOffered"},
        ClientSecret.MISSING: {"SecretNotFound"},
    }[connector.secret]
    stays = {"SecretNotFound", "SecretNotOffered", "ClientRejected"} if worse else set[str]()
    return {"Ready"} | worse | stays


def _leftovers(life: Life, scene: Scene) -> Iterator[str]:
    """What is deleted is gone, with everything that was its own."""
    uids = {body["metadata"]["uid"] for body in scene.grants.values()}
    for name, body in scene.grants.items():
        if body["metadata"]["uid"] in life.gone:
            yield f"{name[0]}/{name[1]} was deleted and is kept by {body['metadata'].get('finalizers')}"
    for (namespace, title), body in scene.secrets.items():
        kind = body.get("type", "").removeprefix("grantkeeper.dev/")
        uid = title.removeprefix("grant-")
        if kind == "sealed" and uid not in uids and not (uid in life.may_be_kept and "tokenset" in body["data"]):
            yield f"the sealed Secret {title} has outlived its grant"
        if kind in {"answer", "recovered"}:
            yield f"Secret {namespace}/{title} is left over"
        if (owner := owner_of(body)) is not None and owner not in uids:
            yield f"Secret {namespace}/{title} has outlived its grant"


def owner_of(secret: Object) -> str | None:
    """The uid of the grant that owns a Secret."""
    owners = secret["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner["kind"] == "UserGrant"), None)


def _name_of(body: Object) -> Name:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
