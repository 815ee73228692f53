"""The thin client and the keyring on a real API server: what its answers really are."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from grantkeeper.adapters import cluster as cluster_module
from grantkeeper.adapters.cluster import NAMESPACES, SECRETS, Cluster
from grantkeeper.adapters.keys import KeyringSecret
from grantkeeper.adapters.login import Login
from grantkeeper.errors import Conflict, Forbidden, Invalid, KeyringError, NotFound
from parts.commands import kubectl
from parts.controlplane import ControlPlane


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    connected = Cluster(Login.find(Path("/nowhere"), {"KUBECONFIG": str(control_plane.kubeconfig)}))
    yield connected
    await connected.close()


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


async def test_an_object_from_birth_to_death(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(SECRETS, namespace, secret("s", k="one"))
    assert await cluster.get(SECRETS, namespace, "s") == made
    replaced = await cluster.replace(SECRETS, {**made, "data": {"k": base64.b64encode(b"two").decode()}})
    assert replaced["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    patched = await cluster.patch(SECRETS, namespace, "s", {"metadata": {"labels": {"l": "v"}}})
    assert patched["data"] == replaced["data"]
    await cluster.delete(SECRETS, namespace, "s")
    with pytest.raises(NotFound):
        await cluster.get(SECRETS, namespace, "s")


async def test_who_comes_second_learns_that(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(SECRETS, namespace, secret("s", k="one"))
    with pytest.raises(Conflict):
        await cluster.create(SECRETS, namespace, secret("s", k="other"))
    await cluster.patch(SECRETS, namespace, "s", {"metadata": {"labels": {"l": "v"}}})
    with pytest.raises(Conflict):
        await cluster.replace(SECRETS, made)
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"l": "w"}}}
    with pytest.raises(Conflict):
        await cluster.patch(SECRETS, namespace, "s", stale)


async def test_a_deletion_spares_a_namesake_and_a_newer_version(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(SECRETS, namespace, secret("s"))
    with pytest.raises(Conflict):
        await cluster.delete(SECRETS, namespace, "s", uid="6f1b2d0e-0000-4000-8000-000000000001")
    await cluster.patch(SECRETS, namespace, "s", {"metadata": {"labels": {"l": "v"}}})
    with pytest.raises(Conflict):
        await cluster.delete(SECRETS, namespace, "s", resource_version=made["metadata"]["resourceVersion"])
    await cluster.delete(SECRETS, namespace, "s", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await cluster.delete(SECRETS, namespace, "s")


async def test_a_list_in_chunks_is_whole(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CHUNK", 3)
    for number in range(8):
        made = secret(f"s-{number}")
        made["metadata"]["labels"] = {"odd": str(number % 2)}
        await cluster.create(SECRETS, namespace, made)
    assert [each["metadata"]["name"] for each in await cluster.list(SECRETS, namespace)] == [f"s-{number}" for number in range(8)]
    assert len(await cluster.list(SECRETS, namespace, labels="odd=1")) == 4
    everywhere = [each for each in await cluster.list(SECRETS) if each["metadata"]["namespace"] == namespace]
    assert len(everywhere) == 8


async def test_what_lies_in_no_namespace(cluster: Cluster) -> None:
    assert (await cluster.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"]


async def test_what_is_not_right_is_said_in_the_servers_words(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Invalid, match="a lowercase RFC 1123 subdomain"):
        await cluster.create(SECRETS, namespace, secret("Not_a_name"))
    with pytest.raises(Invalid) as refused:
        await cluster.create(SECRETS, namespace, {"metadata": {"name": "s"}, "data": {"k": "canary!"}})
    assert "canary" not in str(refused.value)
    with pytest.raises(NotFound):
        await cluster.create(SECRETS, "no-such-namespace", secret("s"))


async def test_a_pod_logs_in_with_what_is_mounted_and_goes_on_when_it_is_replaced(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "worker", "namespace": namespace}}])
    token = control_plane.token_of(namespace, "worker")
    (tmp_path / "ca.crt").write_text(control_plane.ca.read_text())
    (tmp_path / "token").write_text(f"{token}-which-does-not-hold")
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(control_plane.port)}
    cluster = Cluster(Login.find(tmp_path, environ))
    with pytest.raises(Forbidden, match="does not know who is asking"):
        await cluster.get(SECRETS, namespace, "s")
    (tmp_path / "token").write_text(token)
    with pytest.raises(Forbidden, match=f'"system:serviceaccount:{namespace}:worker" cannot get resource "secrets"'):
        await cluster.get(SECRETS, namespace, "s")
    await cluster.close()


async def test_the_first_keyring_is_made_once_and_stays(cluster: Cluster, namespace: str) -> None:
    both = [KeyringSecret(cluster, namespace, "keyring", generate=True) for _ in range(2)]
    await asyncio.gather(*(each.reload() for each in both))
    assert both[0].keyring == both[1].keyring
    stored = await cluster.get(SECRETS, namespace, "keyring")
    assert (stored["type"], stored.get("immutable")) == ("grantkeeper.dev/keyring", None)


async def test_a_keyring_that_went_missing_is_not_made_again_over_what_it_sealed(cluster: Cluster, namespace: str) -> None:
    keys = KeyringSecret(cluster, namespace, "keyring", generate=True)
    await keys.reload()
    sealed = secret("grant-u", tokenset="sealed")
    sealed["metadata"]["labels"] = {"grantkeeper.dev/kind": "sealed"}
    await cluster.create(SECRETS, namespace, sealed)
    await cluster.delete(SECRETS, namespace, "keyring")
    with pytest.raises(KeyringError, match="restore it from its backup"):
        await keys.reload()
    with pytest.raises(NotFound):
        await cluster.get(SECRETS, namespace, "keyring")


async def test_the_command_that_the_sentence_recommends_makes_a_keyring(
    control_plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    keys = KeyringSecret(cluster, namespace, "keyring", generate=False)
    with pytest.raises(KeyringError) as missing:
        await keys.reload()
    (command,) = re.findall(r"`(openssl [^`]*)`", str(missing.value))
    path = f"{Path(kubectl()).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "PATH": path}
    subprocess.run(["/bin/sh", "-c", command], env=environment, check=True, timeout=60)  # noqa: ASYNC221  # nothing else waits
    await keys.reload()
    assert len(keys.keyring.kids) == 1
