"""Steps of everyday life: what befalls delivered Secrets, connectors, processes and the network."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from cluster.everyday import ClientSecret, Connector, Grant, Life, Object
from cluster.everyday_steps import PATIENCE, connectors, is_up, standing, step, whole
from cluster.stage import API
from parts.waiting import wait_for

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
    first, second = connector.clients
    connector.client, connector.exists = dice.choice((first, first, first, second)), True
    spec = {
        "issuer": life.auth_server.issuer,
        "caBundle": life.auth_server.ca_bundle,
        "clientID": connector.client,
        "clientSecretRef": {"name": f"{connector.name}-client"},
        "scopes": ["openid", "offline_access", "calendar.read"],
        "authorizationParameters": {"prompt": "consent"},
        "consent": {"link": "Status"},
        "refresh": {"lifetimePercent": 50},
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
    changes = {"consent": {"displayName": f"Calendar {dice.randrange(9)}"}, "refresh": {"lifetimePercent": dice.choice((50, 60))}}
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
    clients = [client for connector in life.connectors for client in connector.clients]
    life.auth_server.hold()
    try:
        wait_for(lambda: any(map(life.auth_server.held, clients)), "an answer to hold", within=PATIENCE)
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
