"""The keyring Secret: read, followed, and made only where nothing can depend on another."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes.scripted_server import Script, ScriptedServer, scripted_server
from grantkeeper.adapters.calls import Pace
from grantkeeper.adapters.cluster import Cluster
from grantkeeper.adapters.keys import KeyringSecret
from grantkeeper.adapters.login import Login
from grantkeeper.core.keyring import Keyring, thumbprint
from grantkeeper.errors import Forbidden, KeyringError, Unreachable
from parts.certificates import make_ca

KEY, OTHER = bytes(range(32)), bytes(range(100, 132))


def says(body: Mapping[str, Any], status: int = 200) -> Script:
    return Script(status, json.dumps(body).encode())


def held(files: Mapping[str, bytes], kind: str = "grantkeeper.dev/keyring") -> Script:
    return says({"type": kind, "data": {name: base64.b64encode(content).decode() for name, content in files.items()}})


ONE_KEY = held({"a": KEY, "active": b"a"})
MISSING = says({}, 404)
NOTHING_SEALED, SOMETHING_SEALED = says({"metadata": {}, "items": []}), says({"metadata": {}, "items": [{"metadata": {"name": "grant-u"}}]})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    authority = make_ca(tmp_path)
    (tmp_path / "token").write_text("token")
    (tmp_path / "ca.crt").write_text(authority.path.read_text())
    async with scripted_server(*authority.issue(["127.0.0.1"])) as running:
        yield running


@pytest.fixture
async def cluster(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    login = Login.find(tmp_path, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)})
    connected = Cluster(login, Pace(patience=timedelta(0)))
    yield connected
    await connected.close()


@pytest.fixture
def keys(cluster: Cluster) -> KeyringSecret:
    return KeyringSecret(cluster, "grantkeeper", "keyring", generate=False)


@pytest.fixture
def generating(cluster: Cluster) -> KeyringSecret:
    return KeyringSecret(cluster, "grantkeeper", "keyring", generate=True)


def created(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in server.received if each.method == "POST"]


async def test_it_is_read(keys: KeyringSecret, server: ScriptedServer) -> None:
    server.answer(ONE_KEY)
    await keys.reload()
    assert keys.keyring.active_kid == thumbprint(KEY)


def test_before_it_was_read_there_is_none(keys: KeyringSecret) -> None:
    with pytest.raises(KeyringError, match="grantkeeper/keyring has not been read"):
        _ = keys.keyring


async def test_a_change_is_followed(keys: KeyringSecret, server: ScriptedServer) -> None:
    server.answer(ONE_KEY, held({"a": KEY, "b": OTHER, "active": b"b"}))
    await keys.reload()
    await keys.reload()
    assert keys.keyring.active_kid == thumbprint(OTHER)
    assert keys.keyring.kids == {thumbprint(KEY), thumbprint(OTHER)}


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        pytest.param([held({"a": KEY[:31], "active": b"a"})], "'a' is not 32 bytes", id="a key of the wrong length"),
        pytest.param([held({})], "holds no key", id="an empty Secret"),
        pytest.param([says({"type": "grantkeeper.dev/keyring"})], "holds no key", id="a Secret without data"),
        pytest.param([held({"a": KEY, "active": b"a"}, "Opaque")], "is not of type grantkeeper.dev/keyring", id="of another type"),
        pytest.param([MISSING, NOTHING_SEALED], "create it with `openssl rand -base64 32 |", id="none, and none may be made"),
        pytest.param([MISSING, SOMETHING_SEALED], "restore it from its backup", id="none, and something is sealed"),
    ],
)
async def test_what_cannot_be_used_is_a_sentence_and_what_was_read_before_stays(
    keys: KeyringSecret, server: ScriptedServer, answers: list[Script], sentence: str
) -> None:
    server.answer(*answers, ONE_KEY)
    with pytest.raises(KeyringError, match=sentence) as refused:
        await keys.reload()
    assert "\\x01" not in str(refused.value)
    await keys.reload()
    server.answer(*answers)
    with pytest.raises(KeyringError, match=sentence):
        await keys.reload()
    assert keys.keyring.active_kid == thumbprint(KEY)
    assert created(server) == []


async def test_the_first_is_made_where_nothing_is_sealed(generating: KeyringSecret, server: ScriptedServer) -> None:
    server.answer(MISSING, NOTHING_SEALED, ONE_KEY)
    with capture_logs() as logs:
        await generating.reload()
    (body,) = created(server)
    made = Keyring.from_files({name: text.encode() for name, text in body["stringData"].items()})
    assert len(made.kids) == 1
    assert (body["type"], body["metadata"]["name"], body["metadata"]["namespace"]) == ("grantkeeper.dev/keyring", "keyring", "grantkeeper")
    assert "immutable" not in body, "keys are added later"
    assert "labelSelector=grantkeeper.dev/kind%3Dsealed" in server.received[1].target
    assert any("back it up" in each["event"] for each in logs)
    assert body["stringData"]["key-1"] not in str(logs)


async def test_two_made_keyrings_differ(generating: KeyringSecret, server: ScriptedServer) -> None:
    for _ in range(2):
        server.answer(MISSING, NOTHING_SEALED, ONE_KEY)
        await generating.reload()
    first, second = created(server)
    assert first["stringData"]["key-1"] != second["stringData"]["key-1"]


async def test_none_is_made_while_anything_is_sealed(generating: KeyringSecret, server: ScriptedServer) -> None:
    server.answer(MISSING, SOMETHING_SEALED)
    with pytest.raises(KeyringError, match="opens with no other"):
        await generating.reload()
    assert created(server) == []


async def test_of_two_controllers_that_start_at_once_both_use_the_first_keyring(generating: KeyringSecret, server: ScriptedServer) -> None:
    server.answer(MISSING, NOTHING_SEALED, says({}, 409), ONE_KEY)
    await generating.reload()
    assert generating.keyring.active_kid == thumbprint(KEY)


@pytest.mark.parametrize(("status", "error"), [(503, Unreachable), (403, Forbidden)])
async def test_a_cluster_that_does_not_answer_is_no_reason_to_make_one(
    generating: KeyringSecret, server: ScriptedServer, status: int, error: type[Exception]
) -> None:
    server.answer(says({}, status))
    with pytest.raises(error):
        await generating.reload()
    server.answer(MISSING, says({}, status))
    with pytest.raises(error):
        await generating.reload()
    assert created(server) == []
