"""The authorization server is a real one: it rotates, it detects replays, it forgets what it is told to, and its ledger is true."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from parts import PartFailed
from parts.authserver import AuthServer
from parts.person import Person
from parts.waiting import wait_for

CALLBACK = "http://localhost:9/callback"


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass
class Client:
    """An OAuth client of a test's own, with a person who consents."""

    server: AuthServer
    account: str
    client_id: str = field(default_factory=lambda: f"client-{secrets.token_hex(4)}")
    secret: str = field(default_factory=secrets.token_urlsafe)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    patience: httpx.Timeout = field(default_factory=lambda: httpx.Timeout(30))

    def __post_init__(self) -> None:
        self.server.register(self.client_id, self.secret, redirect_uris=[CALLBACK])

    def ask(self, *, deny: bool = False) -> dict[str, list[str]]:
        """Send the person through the pages; return what comes back to the callback."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {"response_type": "code", "client_id": self.client_id, "redirect_uri": CALLBACK, "scope": "openid calendar.read"}
        parameters |= {"state": "a-state", "code_challenge": challenge, "code_challenge_method": "S256"}
        address = str(httpx.URL(f"{self.server.issuer}/auth", params=parameters))
        with Person(self.account, trusting=[self.server.ca]) as person, pytest.raises(httpx.ConnectError) as nobody_listens:
            person.consent(address, deny=deny)
        return parse_qs(urlsplit(str(nobody_listens.value.request.url)).query)

    def redeem(self, code: str) -> httpx.Response:
        """Present a code."""
        return self.post(grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=self.verifier)

    def refresh(self, refresh_token: str) -> httpx.Response:
        """Present a refresh token."""
        return self.post(grant_type="refresh_token", refresh_token=refresh_token)

    def post(self, **form: str) -> httpx.Response:
        """Send a token request."""
        with self.server.client() as http:
            return http.post("/token", data=form, auth=(self.client_id, self.secret), timeout=self.patience)

    def tokens(self) -> dict[str, Any]:
        """Everything at once: consent and redemption."""
        return dict(self.redeem(self.ask()["code"][0]).json())

    def deliveries(self) -> list[bool | None]:
        """Which answers reached this client, in order."""
        return [line["delivered"] for line in self.server.ledger(self.client_id)]


@pytest.fixture
def client(auth_server: AuthServer) -> Client:
    return Client(auth_server, account=f"alice-{secrets.token_hex(4)}")


@pytest.fixture
def held(auth_server: AuthServer) -> Iterator[AuthServer]:
    auth_server.hold()
    yield auth_server
    auth_server.release()


def test_a_code_becomes_tokens(client: Client) -> None:
    answer = client.ask()
    assert answer["state"] == ["a-state"]
    assert answer["iss"] == [client.server.issuer]
    tokens = client.redeem(answer["code"][0]).json()
    assert tokens["expires_in"] == 60
    introspected = client.server.introspect(tokens["access_token"])
    assert introspected["active"]
    assert introspected["sub"] == client.account
    assert introspected["scope"] == "openid calendar.read"


def test_a_client_may_have_a_lifetime_of_its_own(client: Client) -> None:
    client.server.register(client.client_id, client.secret, redirect_uris=[CALLBACK], lifetime=7)
    assert client.tokens()["expires_in"] == 7


def test_a_person_may_say_no(client: Client) -> None:
    assert client.ask(deny=True)["error"] == ["access_denied"]


def test_the_ledger_shows_each_presentation_by_its_fingerprint(client: Client) -> None:
    code = client.ask()["code"][0]
    first = client.redeem(code).json()
    second = client.refresh(first["refresh_token"]).json()
    lines = client.server.ledger(client.client_id)
    assert [(line["grant_type"], line["presented"], line["status"], line["refresh_token"]) for line in lines] == [
        ("authorization_code", sha256(code), 200, sha256(first["refresh_token"])),
        ("refresh_token", sha256(first["refresh_token"]), 200, sha256(second["refresh_token"])),
    ]
    assert [line["access_token"] for line in lines] == [sha256(first["access_token"]), sha256(second["access_token"])]
    assert all(line["endpoint"] == "token" for line in lines)
    wait_for(lambda: client.deliveries() == [True, True], "both answers to be delivered")


def test_no_secret_is_in_the_ledger_and_every_one_is_in_the_issued_file(client: Client) -> None:
    unused = client.ask()["code"][0]
    tokens = client.tokens()
    everything = {unused, client.secret, client.verifier, *(tokens[kind] for kind in ("access_token", "refresh_token", "id_token"))}
    ledger = (client.server.directory / "ledger.jsonl").read_text()
    assert client.server.issued_file is not None
    issued = client.server.issued_file.read_text()
    assert [secret for secret in everything if secret in ledger] == []
    assert [secret for secret in everything if secret not in issued] == []


def test_a_replay_kills_the_family(client: Client) -> None:
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert not client.server.introspect(second["access_token"])["active"]
    assert [line["error"] for line in client.server.ledger(client.client_id)] == [None, None, "invalid_grant", "invalid_grant"]


def test_a_forgotten_account_cannot_refresh(client: Client) -> None:
    tokens = client.tokens()
    client.server.forget(client.account)
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert not client.server.introspect(tokens["access_token"])["active"]


def test_it_remembers_over_a_restart(client: Client) -> None:
    tokens = client.tokens()
    client.server.stop()
    with pytest.raises(httpx.ConnectError):
        client.refresh(tokens["refresh_token"])
    client.server.start()
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_an_answer_that_is_held_back_has_been_worked_off(held: AuthServer) -> None:
    client = Client(held, account="bob")
    code = client.ask()["code"][0]
    client.patience = httpx.Timeout(30, read=1)
    with pytest.raises(httpx.ReadTimeout):
        client.redeem(code)
    client.patience = httpx.Timeout(30)
    wait_for(lambda: held.held(client.client_id) == 1, "the answer to be held back")
    assert [line["status"] for line in held.ledger(client.client_id)] == [200]
    held.release()
    assert client.redeem(code).json()["error"] == "invalid_grant"
    wait_for(lambda: client.deliveries() == [False, True], "the first answer lost, the second delivered")


def test_an_answer_that_is_cut_has_been_worked_off(client: Client) -> None:
    code = client.ask()["code"][0]
    client.server.cut()
    with pytest.raises(httpx.RemoteProtocolError):
        client.redeem(code)
    assert client.redeem(code).json()["error"] == "invalid_grant"
    wait_for(lambda: client.deliveries() == [False, True], "the first answer lost, the second delivered")


def test_what_is_ignored_has_not_been_worked_off(client: Client) -> None:
    tokens = client.redeem(client.ask()["code"][0]).json()
    client.server.ignore()
    try:
        client.patience = httpx.Timeout(30, read=1)
        with pytest.raises(httpx.ReadTimeout):
            client.refresh(tokens["refresh_token"])
        wait_for(lambda: client.server.ignored(client.client_id) == 1, "it to be ignored")
    finally:
        client.server.heed()
    client.patience = httpx.Timeout(30)
    assert client.refresh(tokens["refresh_token"]).is_success


def test_frozen_it_takes_connections_and_reads_nothing(client: Client) -> None:
    tokens = client.tokens()
    client.server.freeze()
    try:
        client.patience = httpx.Timeout(30, connect=1)
        with pytest.raises(httpx.ConnectTimeout):
            client.refresh(tokens["refresh_token"])
    finally:
        client.server.thaw()
    client.patience = httpx.Timeout(30)
    assert client.refresh(tokens["refresh_token"]).status_code == 200
    assert len(client.server.ledger(client.client_id)) == 2


def test_a_taken_port_is_named(auth_server: AuthServer, tmp_path: Path) -> None:
    second = AuthServer(tmp_path, port=auth_server.port)
    with pytest.raises(PartFailed, match=f"port {auth_server.port} on 127.0.0.1 is taken, so the authorization server cannot start there"):
        second.start()
