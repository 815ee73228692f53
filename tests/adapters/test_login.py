"""Who we are to the Kubernetes API: a Pod, or what a kubeconfig says; and sentences for what is not understood."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fakes.scripted_server import ScriptedServer
from grantkeeper.adapters.calls import Pace
from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.adapters.login import Credentials, Login
from grantkeeper.errors import SettingsError, Unreachable
from parts.certificates import CA, make_ca


def kubeconfig(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "current-context": "dev",
        "contexts": [{"name": "other", "context": {}}, {"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/"} | (cluster or {})}],
        "users": [{"name": "u", "user": {"token": "a-token"} if user is None else user}],
        **more,
    }


def write(directory: Path, content: object, name: str = "config") -> Path:
    path = directory / name
    path.write_text(yaml.safe_dump(content))
    return path


def read(*paths: Path) -> Credentials:
    return Login.find(Path("/nowhere"), {"KUBECONFIG": ":".join(map(str, paths))}).read()


@pytest.mark.parametrize(
    ("environ", "server"),
    [
        pytest.param({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.0.0.1:6443", id="IPv4"),
        pytest.param({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443", id="IPv6, and the usual port"),
    ],
)
def test_in_a_pod_it_is_the_service_account(tmp_path: Path, environ: dict[str, str], server: str) -> None:
    (tmp_path / "token").write_text("mounted\n")
    (tmp_path / "ca.crt").write_text("PEM")
    credentials = Login.find(tmp_path, {**environ, "KUBECONFIG": "/nowhere"}).read()
    assert (credentials.server, credentials.ca_data) == (server, "PEM")
    assert credentials.token is not None
    assert credentials.token.get_secret_value() == "mounted"
    assert "mounted" not in repr(credentials)


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_a_pod_without_its_files_is_a_sentence(tmp_path: Path, missing: str) -> None:
    for name in {"token", "ca.crt"} - {missing}:
        (tmp_path / name).write_text("here")
    with pytest.raises(SettingsError, match="GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY"):
        Login.find(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).read()


def test_elsewhere_it_is_the_current_context(tmp_path: Path) -> None:
    credentials = read(write(tmp_path, kubeconfig()))
    assert credentials.server == "https://api.example:6443"
    assert credentials.token is not None
    assert credentials.token.get_secret_value() == "a-token"
    assert (credentials.ca_data, credentials.certificate_data, credentials.private_key_data) == (None, None, None)


def test_without_kubeconfig_it_is_the_one_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube", kubeconfig())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Login.find(Path("/nowhere"), {}).read().server == "https://api.example:6443"


def test_files_are_found_beside_the_kubeconfig_and_data_wins(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    for name in ("ca.pem", "me.pem", "me.key", "token"):
        (tmp_path / "pki" / name).write_text(f"from {name}")
    user = {"client-certificate": "pki/me.pem", "client-key": str(tmp_path / "pki" / "me.key"), "tokenFile": "pki/token"}
    credentials = read(write(tmp_path, kubeconfig({"certificate-authority": "pki/ca.pem"}, user)))
    assert (credentials.ca_data, credentials.certificate_data, credentials.private_key_data) == (
        "from ca.pem",
        "from me.pem",
        "from me.key",
    )
    assert credentials.token is not None
    assert credentials.token.get_secret_value() == "from token"
    assert "from me.key" not in repr(credentials)
    data = base64.b64encode(b"from data").decode()
    cluster = {"certificate-authority": "pki/ca.pem", "certificate-authority-data": data}
    assert read(write(tmp_path, kubeconfig(cluster))).ca_data == "from data"


def test_several_kubeconfigs_are_one_and_the_first_wins(tmp_path: Path) -> None:
    first = write(tmp_path, {"current-context": "dev", "users": [{"name": "u", "user": {"token": "first"}}]}, "first")
    credentials = read(tmp_path / "absent", first, write(tmp_path, kubeconfig(), "second"))
    assert credentials.server == "https://api.example:6443"
    assert credentials.token is not None
    assert credentials.token.get_secret_value() == "first"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot be read as a kubeconfig", id="an empty file"),
        pytest.param("text", "cannot be read as a kubeconfig", id="not a mapping"),
        pytest.param({}, "no current context", id="no current context"),
        pytest.param(kubeconfig(contexts=[]), "no context named 'dev'", id="the current context is not there"),
        pytest.param(kubeconfig(clusters=None), "no cluster named 'c'", id="no cluster"),
        pytest.param(kubeconfig(users=[]), "no user named 'u'", id="no user"),
        pytest.param(kubeconfig({"server": None}), "'c' names no server", id="no server"),
        pytest.param(kubeconfig({"insecure-skip-tls-verify": True}), "'insecure-skip-tls-verify', which is not understood", id="insecure"),
        pytest.param(kubeconfig({"proxy-url": "http://proxy"}), "'proxy-url', which is not understood", id="a proxy"),
        pytest.param(kubeconfig(user={"exec": {"command": "x"}}), "'exec', which is not understood", id="a program that logs in"),
        pytest.param(kubeconfig(user={"username": "me", "password": "canary"}), "'username', which is not understood", id="a password"),
        pytest.param(kubeconfig({"certificate-authority-data": "canary!"}), "is not base64", id="data that is not base64"),
        pytest.param(kubeconfig({"certificate-authority": "absent.pem"}), "'absent.pem' cannot be read", id="a file that is not there"),
    ],
)
def test_what_is_not_understood_is_a_sentence(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        read(write(tmp_path, content))
    assert "canary" not in str(refused.value)


def test_no_kubeconfig_at_all_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="This is no Pod, and no current context is in"):
        read(tmp_path / "absent")


def test_yaml_that_does_not_parse_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{[canary")
    with pytest.raises(SettingsError, match="cannot be read as a kubeconfig") as refused:
        read(tmp_path / "config")
    assert "canary" not in str(refused.value)


def test_a_server_is_verified_and_no_session_key_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = Credentials("https://api.example", ca_data=make_ca(tmp_path).path.read_text()).trust()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.keylog_filename is None


def issue_to_a_client(authority: CA, directory: Path) -> dict[str, Any]:
    """The user of a kubeconfig who proves himself by a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            authority.certificate.subject,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a client")]),
            key.public_key(),
            x509.random_serial_number(),
            now - timedelta(hours=1),
            now + timedelta(hours=1),
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "client.key").write_bytes(pem)
    data = base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()
    return {"client-certificate-data": data, "client-key": "client.key"}


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "not shown"])
async def test_a_client_certificate_lets_in_where_one_is_asked_for(tmp_path: Path, shown: bool) -> None:
    authority = make_ca(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(["127.0.0.1"]))
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    scripted = ScriptedServer()
    async with await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=context) as server:
        address = {"server": f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "certificate-authority": "ca.pem"}
        write(tmp_path, kubeconfig(address, issue_to_a_client(authority, tmp_path) if shown else {}))
        cluster = Cluster(Login.find(Path("/nowhere"), {"KUBECONFIG": str(tmp_path / "config")}), Pace(patience=timedelta(0)))
        if shown:
            await cluster.get(SECRETS, "ns", "s")
        else:
            with pytest.raises(Unreachable):
                await cluster.get(SECRETS, "ns", "s")
        await cluster.close()
    assert [each.headers.get("authorization") for each in scripted.received] == ([None] if shown else [])


def test_a_key_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    authority = make_ca(tmp_path)
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(SettingsError, match="must be PEM") as refused:
        Credentials("https://api.example", certificate_data=pem, private_key_data="canary").trust()
    assert "canary" not in str(refused.value)
