"""The steps of everyday life, an open list: a function that does something and tells the model what may have come of it.

To add one, write a function with `@step`: `when` says of whom it can be done now, and its docstring is its line in the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from cluster.everyday import FAULTY, SHORT, ClientSecret, Connector, Fate, Grant, Life, Object
from cluster.sealed_sets import Cabinet
from cluster.stage import API, CLIENT_SECRET, sha256, status
from parts.person import Person
from parts.waiting import wait_for

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can happen. `subjects` are those that it can happen to now."""

    name: str
    weight: int
    subjects: Callable[[Life], list[Any]]
    take: Callable[[Life, Any, Random], None]


STEPS: dict[str, Step] = {}


def step(subjects: Callable[[Life], list[Any]], *, weight: int = 2) -> Callable[[Callable[[Life, Any, Random], None]], Any]:
    """Add a step to the list, under its function's name; the heavier, the more often it is taken."""

    def add(take: Callable[[Life, Any, Random], None]) -> Callable[[Life, Any, Random], None]:
        STEPS[take.__name__] = Step(take.__name__, weight, subjects, take)
        return take

    return add


def grants(when: Callable[[Life, Grant], bool]) -> Callable[[Life], list[Grant]]:
    """The grants of which this holds."""
    return lambda life: [grant for grant in life.grants if when(life, grant)]


def standing(when: Callable[[Life, Grant], bool] = lambda _life, _grant: True) -> Callable[[Life], list[Grant]]:
    """The grants that there are, and of which this holds."""
    return grants(lambda life, grant: grant.spec is not None and when(life, grant))


def connectors(when: Callable[[Connector], bool]) -> Callable[[Life], list[Connector]]:
    """The connectors of which this holds."""
    return lambda life: [connector for connector in life.connectors if when(connector)]


def whole(when: Callable[[Life], bool]) -> Callable[[Life], list[None]]:
    """No one in particular."""
    return lambda life: [None] if when(life) else []


def is_up(life: Life, *parts: str) -> bool:
    """Whether none of these is down."""
    return life.down.isdisjoint(parts or ("controller", "server"))


# Grants come, change and go


@step(grants(lambda _life, grant: grant.spec is None), weight=12)
def apply_grant(life: Life, grant: Grant, dice: Random) -> None:
    """Apply a grant, also one whose namesake was deleted a moment ago."""
    wait_for(lambda: life.find(grant.path) is None, f"{grant.path} to be gone", within=PATIENCE)
    grant.spec = {"connectorRef": {"name": grant.connector.name}, "user": grant.account, "secrets": _draw_entries(grant, dice)}
    body = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "UserGrant", "metadata": {"name": grant.name}, "spec": grant.spec}
    grant.uid = life.apply(grant.path.rpartition("/")[0], body)["metadata"]["uid"]
    grant.fates, grant.client, grant.is_forgotten, grant.may_be_finalized = {Fate.AWAITED}, "", False, False


@step(standing())
def delete_grant(life: Life, grant: Grant, _dice: Random) -> None:
    """Delete a grant. One for which no code was ever presented goes at once, whoever is down."""
    life.api.delete(grant.path).raise_for_status()
    if not grant.may_be_finalized:
        assert life.find(grant.path) is None, f"{grant.path} never held tokens, and is kept"
    if not grant.connector.exists or grant.is_replaced:
        life.may_be_kept.add(grant.uid)
    life.gone.add(grant.uid)
    grant.spec, grant.fates = None, set()


@step(standing(), weight=4)
def edit_secrets(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for other Secrets, or in other forms."""
    life.edit(grant, secrets=_draw_entries(grant, dice))


@step(standing(lambda _life, grant: bool(grant.entries)))
def edit_labels(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for other labels."""
    label = {"team": dice.choice(("reports", "sales", "platform"))}
    life.edit(grant, secrets=[{**entry, "labels": label} for entry in grant.entries])


@step(standing(lambda _life, grant: bool(grant.entries)))
def edit_template(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for a file of one's own, which may be one that cannot be filled."""
    text = dice.choice(("Bearer [[ access_token ]]", "[[ user ]]:[[ account ]]", "[[ access_token | b64enc ]]", FAULTY))
    first, *rest = grant.entries
    life.edit(grant, secrets=[{**first, "templates": {"own": text}}, *rest])


@step(standing(), weight=1)
def edit_purpose(life: Life, grant: Grant, dice: Random) -> None:
    """Give another purpose: nothing but words."""
    life.edit(grant, purpose=f"The report of week {dice.randrange(53)} reads it.")


@step(standing())
def edit_expected_account(life: Life, grant: Grant, dice: Random) -> None:
    """Expect the account that will consent, another one, or none in particular."""
    life.edit(grant, expectedAccount=dice.choice((None, {"subject": grant.account}, {"subject": "somebody-else"})))


# People answer


def _can_answer(life: Life, grant: Grant) -> bool:
    is_asked = grant.fate is not None and (grant.fate is not Fate.HELD or grant.is_replaced)
    is_accepted = all(FAULTY not in entry.get("templates", {}).values() for entry in grant.entries)
    return is_asked and is_accepted and grant.connector.is_sound and is_up(life)


@step(standing(_can_answer), weight=20)
def consent(life: Life, grant: Grant, _dice: Random) -> None:
    """The person consents."""
    _answer(life, grant)
    _conclude(grant, is_lost=False)


@step(standing(_can_answer))
def deny(life: Life, grant: Grant, _dice: Random) -> None:
    """The person says no."""
    _answer(life, grant, deny=True)
    if not _may_hold(grant):
        grant.fates = {Fate.DENIED}


@step(standing(_can_answer), weight=1)
def consent_with_an_answer_cut(life: Life, grant: Grant, _dice: Random) -> None:
    """The person consents, and an answer of the token endpoint is lost: this one's, or that of a refresh."""
    known = len(life.auth_server.ledger())
    life.auth_server.cut()
    life.doubt()
    _answer(life, grant)
    came = life.auth_server.ledger()[known:]
    lost = [entry for entry in came if entry["grant_type"] == "authorization_code" and entry["delivered"] is False]
    _conclude(grant, is_lost=bool(lost))


def _conclude(grant: Grant, *, is_lost: bool) -> None:
    """What a code becomes: tokens, or the reason why there are none, which says nothing where others are held."""
    assert grant.spec is not None
    is_another = grant.spec.get("expectedAccount") == {"subject": "somebody-else"}
    if not is_lost and not is_another:
        grant.fates, grant.client, grant.is_forgotten = {Fate.HELD}, grant.connector.client, False
    elif not _may_hold(grant):
        grant.fates = {Fate.FAILED if is_lost else Fate.MISMATCHED}


def _may_hold(grant: Grant) -> bool:
    return any(fate.holds_tokens for fate in grant.fates)


def _answer(life: Life, grant: Grant, *, deny: bool = False) -> None:
    """Go through the pages by a link that the record knows, and come back when another one, or none, is shown."""
    life.raise_up("consent")
    link = ""

    def is_open() -> bool:
        nonlocal link
        link = status(life.find(grant.path) or {}).get("consentURL", "")
        digest = sha256(link.rpartition("/")[2])
        return any(request.hash == digest for request in Cabinet(life).open_requests(grant.uid, grant.connector))

    wait_for(is_open, f"a link of {grant.path} that can be answered", within=PATIENCE)
    if not deny:
        grant.may_be_finalized = True
    with Person(grant.account, trusting=[life.auth_server.ca]) as person:
        person.consent(link, deny=deny)
    wait_for(lambda: status(life.find(grant.path) or {}).get("consentURL") != link, f"{grant.path} to take the answer", within=PATIENCE)


# Time passes


@step(standing(lambda life, grant: grant.is_refreshed and is_up(life)), weight=3)
def let_refresh(life: Life, grant: Grant, _dice: Random) -> None:
    """Wait until its token has been refreshed."""
    before = _generation(life, grant)
    wait_for(lambda: _generation(life, grant) > before, f"a refresh of {grant.path}", within=PATIENCE)


@step(standing(lambda life, grant: grant.fate is Fate.HELD and is_up(life, "server")), weight=1)
def forget_account(life: Life, grant: Grant, _dice: Random) -> None:
    """The server drops everything that this account has consented to."""
    life.auth_server.forget(grant.account)
    if grant.connector.lifetime == SHORT:
        grant.fates = {Fate.DEAD}
    grant.is_forgotten = True


# Delivered Secrets are meddled with


def _secret_path(grant: Grant, name: str) -> str:
    return f"/api/v1/namespaces/{grant.namespace}/secrets/{name}"


def _own(life: Life, grant: Grant, dice: Random) -> str | None:
    names = [entry["name"] for entry in grant.entries if (grant.namespace, entry["name"]) not in life.foreign]
    return dice.choice(names) if names else None


@step(standing(lambda _life, grant: bool(grant.entries)))
def delete_delivered(life: Life, grant: Grant, dice: Random) -> None:
    """Delete a delivered Secret."""
    if name := _own(life, grant, dice):
        life.api.delete(_secret_path(grant, name))


@step(standing(lambda _life, grant: bool(grant.entries)))
def edit_delivered(life: Life, grant: Grant, dice: Random) -> None:
    """Change what a delivered Secret holds, or how it is labelled."""
    changes: tuple[Object, ...] = (
        {"data": {"access_token": "eA=="}},
        {"data": {"more": "eA=="}},
        {"metadata": {"labels": {"team": "other"}}},
    )
    if name := _own(life, grant, dice):
        life.patch(_secret_path(grant, name), dice.choice(changes))


@step(standing(lambda _life, grant: bool(grant.entries)), weight=1)
def intrude(life: Life, grant: Grant, dice: Random) -> None:
    """Put somebody else's Secret in the way, if that is faster than the controller."""
    if name := _own(life, grant, dice):
        life.api.delete(_secret_path(grant, name))
        body = {"metadata": {"name": name}, "stringData": {"mine": "somebody else's"}}
        if life.api.post(_secret_path(grant, name).rpartition("/")[0], json=body).is_success:
            life.foreign.add((grant.namespace, name))


@step(whole(lambda life: bool(life.foreign)), weight=3)
def retreat(life: Life, _whole: None, dice: Random) -> None:
    """Take somebody else's Secret away."""
    namespace, name = dice.choice(sorted(life.foreign))
    life.api.delete(f"/api/v1/namespaces/{namespace}/secrets/{name}").raise_for_status()
    life.foreign.discard((namespace, name))


# Connectors come, change and go


@step(connectors(lambda connector: not connector.exists), weight=8)
def apply_connector(life: Life, connector: Connector, dice: Random) -> None:
    """Apply a connector, now and then as another client than before."""
    clients = [f"{connector.name}-of-{connector.namespace}{suffix}" for suffix in ("", "", "", "-2")]
    connector.client, connector.exists = dice.choice(clients), True
    redirect = f"{life.installation.external_url}/callback/{connector.namespace}/{connector.name}"
    life.auth_server.register(connector.client, CLIENT_SECRET, redirect_uris=[redirect], lifetime=connector.lifetime)
    spec = {
        "issuer": life.auth_server.issuer,
        "caBundle": life.auth_server.ca_bundle,
        "clientID": connector.client,
        "clientSecretRef": {"name": f"{connector.name}-client"},
        "scopes": ["openid", "offline_access", "calendar.read"],
        "authorizationParameters": {"prompt": "consent"},
        "consent": {"link": "Status"},
    }
    body = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "OAuthConnector", "metadata": {"name": connector.name}, "spec": spec}
    life.apply(f"{API}/namespaces/{connector.namespace}/oauthconnectors", body)


@step(connectors(lambda connector: connector.exists), weight=1)
def delete_connector(life: Life, connector: Connector, _dice: Random) -> None:
    """Delete a connector."""
    life.api.delete(connector.path).raise_for_status()
    connector.exists = False
    life.may_be_kept |= life.gone  # those that are on their way may not be able to open what they hold


@step(connectors(lambda connector: connector.exists))
def edit_connector(life: Life, connector: Connector, dice: Random) -> None:
    """Change what people read of it, and when it refreshes."""
    changes = {"consent": {"displayName": f"Calendar {dice.randrange(9)}"}, "refresh": {"lifetimePercent": dice.choice((50, 60, 75))}}
    assert life.patch(connector.path, {"spec": changes})


@step(connectors(lambda connector: connector.secret is ClientSecret.RIGHT), weight=1)
def spoil_client_secret(life: Life, connector: Connector, dice: Random) -> None:
    """Delete a connector's client Secret, or make it useless."""
    life.put_client_secret(connector, dice.choice((ClientSecret.MISSING, ClientSecret.UNLABELLED, ClientSecret.WRONG)))


@step(connectors(lambda connector: connector.secret is not ClientSecret.RIGHT), weight=8)
def mend_client_secret(life: Life, connector: Connector, _dice: Random) -> None:
    """Put the right client Secret there."""
    life.put_client_secret(connector, ClientSecret.RIGHT)


# Processes and the network


@step(whole(lambda life: is_up(life, "controller")), weight=3)
def stop_controller(life: Life, _whole: None, _dice: Random) -> None:
    """End the controller in an orderly way."""
    life.fell("controller", life.installation.controller.stop)


@step(whole(lambda life: is_up(life, "controller")))
def kill_controller(life: Life, _whole: None, _dice: Random) -> None:
    """Kill the controller."""
    life.fell("controller", life.installation.controller.kill)
    life.doubt()


@step(whole(lambda life: not is_up(life, "controller")), weight=15)
def start_controller(life: Life, _whole: None, _dice: Random) -> None:
    """Start the controller again."""
    life.raise_up("controller")


@step(whole(lambda life: is_up(life, "consent")))
def kill_consent(life: Life, _whole: None, _dice: Random) -> None:
    """Kill the pages; they are started again when somebody wants them."""
    life.fell("consent", life.installation.consent.kill)


@step(whole(lambda life: is_up(life, "server")), weight=1)
def stop_server(life: Life, _whole: None, _dice: Random) -> None:
    """End the authorization server, whatever is in flight."""
    life.fell("server", life.auth_server.stop)
    life.doubt()


@step(whole(lambda life: not is_up(life, "server")), weight=15)
def start_server(life: Life, _whole: None, _dice: Random) -> None:
    """Start the authorization server again."""
    life.raise_up("server")


def _is_refreshing(life: Life) -> bool:
    return is_up(life) and any(grant.is_refreshed for grant in life.grants)


@step(whole(_is_refreshing), weight=1)
def hold_an_answer(life: Life, _whole: None, _dice: Random) -> None:
    """Let the token endpoint be slow."""
    _hold(life, lambda: None)


@step(whole(_is_refreshing), weight=1)
def kill_while_an_answer_is_held(life: Life, _whole: None, _dice: Random) -> None:
    """Kill the controller when a refresh token has been presented and no answer has arrived."""
    _hold(life, lambda: life.fell("controller", life.installation.controller.kill))
    life.doubt()


def _hold(life: Life, meanwhile: Callable[[], None]) -> None:
    life.auth_server.hold()
    try:
        wait_for(lambda: life.auth_server.held() > 0, "an answer to hold", within=PATIENCE)
        meanwhile()
    finally:
        life.auth_server.release()


@step(whole(_is_refreshing), weight=1)
def cut_an_answer(life: Life, _whole: None, _dice: Random) -> None:
    """Lose the answer to a refresh."""
    life.auth_server.cut()
    life.doubt()
    known = len(life.auth_server.ledger())

    def is_cut() -> bool:
        return any(entry["delivered"] is False for entry in life.auth_server.ledger()[known:])

    wait_for(is_cut, "an answer to be cut", within=PATIENCE)


# Draws


def _draw_entries(grant: Grant, dice: Random) -> list[Object]:
    """None to three Secrets; the names are the same in every namespace, so that a mix-up shows."""
    forms: tuple[Object, ...] = ({}, {"format": "Header"}, {"format": "JSON"}, {"format": "Env", "env": "TOKEN"})
    names = dice.sample([f"{grant.name}-{suffix}" for suffix in ("token", "more", "spare")], dice.randint(0, 3))
    return [{"name": name, **dice.choice(forms)} for name in names]


def _generation(life: Life, grant: Grant) -> int:
    return int(status(life.find(grant.path) or {}).get("tokenGeneration", 0))
