"""No secret is where it does not belong: a whole run on parts of its own, and then a search through everything that was written."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from cluster.leaks import Exhibit, search
from cluster.stage import API, Object, Stage, condition, sha256, status
from cluster.witness import Album, Part, Witness, exhibit_object
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.person import Page, Person
from parts.waiting import wait_for

NAMESPACE = "team-a"
LIFETIME = 8
SECRET = "a refresh token, as it were: +/=%&"


@dataclass(frozen=True)
class Run:
    """A run, with everything that was seen of it."""

    stage: Stage
    witness: Witness
    album: Album
    own_links: list[str] = field(default_factory=list)
    """Links whose ids somebody made who asked for them."""

    def consent_anew(self, name: str) -> None:
        """Somebody asks for a link and uses it."""
        self.own_links.append(self.stage.ask_for_link(name))
        with Person(name, trusting=[self.stage.auth_server.ca]) as person:
            self.album.follow(person).consent(self.own_links[-1])

    def consent(self, name: str, *, deny: bool = False) -> Page:
        """Let somebody consent, while their pages are looked at."""
        with Person(name, trusting=[self.stage.auth_server.ca]) as person:
            return self.album.follow(person).consent(self.stage.link(name), deny=deny)

    def secrets(self) -> dict[str, str]:
        """Every secret that there ever was, with its kind."""
        issued = [json.loads(line) for line in _issued_file(self.stage).read_text().splitlines()]
        owners = {entry["access_token"]: entry["client_id"] for entry in self.stage.auth_server.ledger()}
        known = {entry["value"]: entry["kind"].replace("_", " ") for entry in issued if entry["kind"] != "token"}
        for secret, kind in known.items():
            if kind == "access token":
                known[secret] = f"access token of {owners[sha256(secret)]}"
        keyring = self.stage.get(f"/api/v1/namespaces/{self.stage.installation.namespace}/secrets/grantkeeper-keyring")
        return (
            known
            | dict.fromkeys(self.request_ids(), "request id")
            | dict.fromkeys(self.album.states, "state")
            | {base64.b64decode(keyring["data"]["key-1"]).decode(): "key"}
        )

    def request_ids(self) -> set[str]:
        """The id in every link that was ever shown or asked for."""
        links = [status(body).get("consentURL") for body in self.witness.seen if body["kind"] == "UserGrant"]
        return {urlsplit(link).path.rpartition("/")[2] for link in (*links, *self.own_links) if link}

    def exhibits(self) -> list[Exhibit]:
        """Everything that was ever written: objects, pages, logs, and what the processes were started with."""
        self.witness.catch_up()
        installation, control_plane = self.stage.installation, self.stage.control_plane
        exhibits = [*self.witness.exhibits(self._belonging()), *self.album.pages]
        for container in (installation.controller, installation.consent):
            process = Path("/proc") / str(container.pid)
            exhibits.append(Exhibit(f"log of {container.name}", container.log.read_bytes()))
            exhibits += [Exhibit(f"{file} of {container.name}", (process / file).read_bytes()) for file in ("cmdline", "environ")]
        exhibits += [Exhibit(f"log of {path.stem}", path.read_bytes()) for path in control_plane.directory.glob("*.log")]
        return exhibits

    def _belonging(self) -> dict[tuple[str, str], Mapping[Part, frozenset[str]]]:
        """What may hold a secret, and of which kind. There is nothing else."""
        home = self.stage.installation.namespace
        belonging: dict[tuple[str, str], Mapping[Part, frozenset[str]]] = {
            ("Secret", f"{home}/grantkeeper-keyring"): {("data", "key-1"): frozenset({"key"})},
        }
        for connector, grant in (("calendar", "alice"), ("mail", "bob")):
            token = frozenset({f"access token of {_client_of(self.stage, connector)}"})
            belonging["Secret", f"{NAMESPACE}/{connector}-client"] = {("data", "clientSecret"): frozenset({"client secret"})}
            belonging["Secret", f"{NAMESPACE}/{grant}-token"] = {("data", "access_token"): token}
            belonging["UserGrant", f"{NAMESPACE}/{grant}"] = {("status", "consentURL"): frozenset({"request id"})}
        for body in self.witness.seen:
            if body.get("type") == "grantkeeper.dev/answer":
                name = f"{home}/{body['metadata']['name']}"
                belonging["Secret", name] = {("data", "code"): frozenset({"code"}), ("data", "id"): frozenset({"request id"})}
        return belonging


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run in which everything happens that can happen to a token."""
    directory = tmp_path_factory.mktemp("leaks")
    with (
        ControlPlane(directory / "control-plane") as control_plane,
        AuthServer(directory / "authorization-server", issued_file=directory / "issued.jsonl") as auth_server,
        Installation(control_plane, directory / "grantkeeper", values={"logLevel": "DEBUG"}) as installation,
    ):
        control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        run = Run(
            Stage(control_plane, auth_server, installation, NAMESPACE), Witness(control_plane), Album(f"localhost:{installation.port}")
        )
        run.witness.watch()
        _play(run)
        yield run


def _play(run: Run) -> None:
    stage, server = run.stage, run.stage.auth_server
    for connector, grant in (("calendar", "alice"), ("mail", "bob")):
        stage.add_connector(connector, lifetime=LIFETIME, clientID=_client_of(stage, connector))
        stage.add_grant(grant, connector=connector, revocationPolicy="Revoke")
    _consent_after_a_denial_and_a_failure(run)
    run.consent("bob")
    run.consent_anew("alice")
    stage.pause_between_refreshes("alice", "bob")
    stage.installation.controller.kill()
    stage.installation.controller.start()
    for grant in ("alice", "bob"):
        stage.wait_refreshed(grant, status(stage.wait_ready(grant))["tokenGeneration"])
    stage.pause_between_refreshes("alice", "bob")
    server.stop()
    try:
        stage.installation.controller.kill(signal.SIGCONT)
        stage.wait_grant("alice", lambda grant: status(grant).get("failedRefreshes", 0) > 0)
    finally:
        server.start()
    for grant in ("alice", "bob"):
        stage.wait_refreshed(grant, status(stage.get(stage.grant_path(grant)))["tokenGeneration"])
    server.forget("bob")
    stage.wait_reason("bob", "ReauthorizationRequired")
    for grant in ("alice", "bob"):
        stage.delete(stage.grant_path(grant))
        _wait_gone(stage, grant)


def _consent_after_a_denial_and_a_failure(run: Run) -> None:
    stage, first = run.stage, run.stage.link("alice")
    run.consent("alice", deny=True)
    second = stage.wait_grant("alice", lambda grant: status(grant).get("consentURL") not in {None, first})["status"]["consentURL"]
    stage.auth_server.cut()
    run.consent("alice")
    stage.wait_grant("alice", lambda grant: status(grant).get("consentURL") not in {None, second})
    run.consent("alice")
    stage.wait_ready("alice")


def test_everything_has_happened(run: Run) -> None:
    ledger = run.stage.auth_server.ledger()
    reasons = {(condition(body, "Ready")["reason"]) for body in run.witness.seen if body["kind"] == "UserGrant"}
    assert {"AwaitingConsent", "ConsentDenied", "ExchangeFailed", "Ready", "ReauthorizationRequired"} <= reasons
    assert sum(entry["grant_type"] == "refresh_token" and entry["error"] is None for entry in ledger) >= 4
    assert {"invalid_grant"} <= {entry["error"] for entry in ledger}
    assert any(entry["endpoint"] == "revocation" for entry in ledger)
    assert any(entry["grant_type"] == "authorization_code" and not entry["delivered"] for entry in ledger)
    clients = {f"access token of {_client_of(run.stage, connector)}" for connector in ("calendar", "mail")}
    kinds = {"code", "code verifier", "refresh token", "id token", "client secret", "request id", "state", "key"}
    assert clients | kinds <= set(run.secrets().values())
    assert len(run.request_ids()) >= 5
    environment = Path("/proc") / str(run.stage.installation.controller.pid) / "environ"
    assert b"GRANTKEEPER_LOG_LEVEL=DEBUG" in environment.read_bytes()


def test_no_secret_is_where_it_does_not_belong(run: Run) -> None:
    assert search(run.exhibits(), run.secrets()) == []


def test_what_is_planted_is_found_in_every_kind_of_place(run: Run) -> None:
    token = next(secret for secret, kind in run.secrets().items() if kind == "refresh token")
    assert {leak.place for leak in search(_plant(run, token), {token: "refresh token"})} == {
        f"Secret {NAMESPACE}/planted",
        f"Secret {run.stage.installation.namespace}/planted",
        f"Event {NAMESPACE}/planted",
        f"UserGrant {NAMESPACE}/planted",
        f"OAuthConnector {NAMESPACE}/mail",
        "page 200 of /consent",
        "log of controller",
        "log of consent",
        "log of audit",
    }


def _plant(run: Run, token: str) -> list[Exhibit]:
    """Let everything leak, spelt as it might be."""
    stage = run.stage
    stage.add_grant("planted", connector="mail", purpose=f"because of {token}")
    with Person(trusting=[]) as person:
        run.album.follow(person).open(stage.link("planted"))
    for namespace in (NAMESPACE, stage.installation.namespace):
        stage.control_plane.kubectl("create", "secret", "generic", "planted", "-n", namespace, f"--from-literal=here={token}")
    involved = {"kind": "UserGrant", "namespace": NAMESPACE, "name": "planted"}
    event: Object = {"metadata": {"name": "planted"}, "involvedObject": involved, "message": token.encode().hex()}
    with stage.control_plane.client() as client:
        client.post(f"/api/v1/namespaces/{NAMESPACE}/events", json=event).raise_for_status()
        client.patch(
            f"{API}/namespaces/{NAMESPACE}/oauthconnectors/mail/status",
            json={"status": {"redirectURI": token}},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()
        client.get(f"/api/v1/namespaces/{quote(token)}")
    with stage.installation.controller.log.open("a") as log:
        log.write(f"refreshed by {token}\n")
    with stage.installation.consent.log.open("a") as log:
        log.write(base64.urlsafe_b64encode(f":{token}.".encode()).decode())
    return run.exhibits()


def _client_of(stage: Stage, connector: str) -> str:
    return f"{stage.client_id}-{connector}"


def _issued_file(stage: Stage) -> Path:
    path = stage.auth_server.issued_file
    assert path is not None
    return path


def _wait_gone(stage: Stage, grant: str) -> None:
    with stage.control_plane.client() as client:
        wait_for(lambda: client.get(stage.grant_path(grant)).status_code == 404, f"{grant} to be gone")


# The search itself


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(SECRET.encode(), id="raw"),
        pytest.param(json.dumps({"token": f'say "{SECRET}"'}).encode(), id="in JSON"),
        pytest.param(json.dumps(SECRET).replace("/", "\\/").encode(), id="in JSON with escaped slashes"),
        pytest.param(quote(f"x={SECRET}", safe="").encode(), id="in a URL"),
        pytest.param(b"a%20refresh%20token%2c%20as%20it%20were%3a%20%2b%2f%3d%25%26", id="in a URL with lower-case escapes"),
        pytest.param(b"refresh_token=a+refresh+token%2C+as+it+were%3A+%2B%2F%3D%25%26", id="in a form"),
        pytest.param(SECRET.encode().hex().encode(), id="in hex"),
        pytest.param(SECRET.encode().hex().upper().encode(), id="in upper-case hex"),
        *(pytest.param(base64.b64encode(b"x" * n + SECRET.encode() + b"yz"), id=f"in base64 after {n} bytes") for n in range(4)),
        *(pytest.param(base64.b64encode(SECRET.encode() + b"y" * n), id=f"in base64 before {n} bytes") for n in range(3)),
        *(pytest.param(base64.urlsafe_b64encode(b"\xff" * n + SECRET.encode()), id=f"in base64url after {n} bytes") for n in range(3)),
        pytest.param(base64.b64encode(b"client:" + quote(SECRET, safe="").encode()), id="as credentials of Basic authentication"),
    ],
)
def test_a_secret_is_found_however_it_is_spelt(written: bytes) -> None:
    exhibit = Exhibit("a log", b"first\nand then " + written + b" and more")
    found = search([exhibit], {SECRET: "refresh token"})
    assert {(leak.place, leak.line) for leak in found} == {("a log", 2)}
    assert search([exhibit], {hashlib.sha256(SECRET.encode()).hexdigest(): "refresh token"}) == []


def test_only_its_own_kind_belongs_in_a_part() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"namespace": NAMESPACE, "name": "alice-token"},
        "data": {"access_token": base64.b64encode(SECRET.encode()).decode()},
    }
    exhibits = exhibit_object(secret, {("data", "access_token"): frozenset({"access token of alice"})})
    assert search(exhibits, {SECRET: "access token of alice"}) == []
    for kind in ("access token of bob", "refresh token"):
        assert [leak.place for leak in search(exhibits, {SECRET: kind})] == [f"Secret {NAMESPACE}/alice-token data.access_token"]
    elsewhere = {**secret, "data": {"token": secret["data"]["access_token"]}}  # type: ignore[index]
    assert search(exhibit_object(elsewhere, {}), {SECRET: "access token of alice"}) != []
