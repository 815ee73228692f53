"""The client of the Kubernetes API against a server that misbehaves: what is sent again, what never, and what it is called here."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.scripted_server import Fault, Received, Script, ScriptedServer, scripted_server
from grantkeeper.adapters import looping
from grantkeeper.adapters.calls import Pace
from grantkeeper.adapters.cluster import CHUNK, NAMESPACES, SECRETS, USERGRANTS, Cluster
from grantkeeper.adapters.login import Login
from grantkeeper.errors import ClusterError, Conflict, Forbidden, Invalid, NotFound, SettingsError, Unreachable
from parts.certificates import CA, make_ca
from parts.processes import free_port

PATIENT = Pace(timeout=timedelta(seconds=20), patience=timedelta(seconds=30))
BRISK = Pace(timeout=timedelta(seconds=1), patience=timedelta(seconds=30))
"""For answers that never come."""
BODY: dict[str, Any] = {"metadata": {"name": "s", "namespace": "ns", "resourceVersion": "7"}, "data": {"k": "canary"}}
AS_STORED: dict[str, Any] = {"metadata": {"name": "s", "resourceVersion": "8"}}

Call = Callable[[Cluster], Awaitable[object]]
GET: Call = lambda cluster: cluster.get(SECRETS, "ns", "s")  # noqa: E731
CREATE: Call = lambda cluster: cluster.create(SECRETS, "ns", BODY)  # noqa: E731
REPLACE: Call = lambda cluster: cluster.replace(SECRETS, BODY)  # noqa: E731
PATCH: Call = lambda cluster: cluster.patch(SECRETS, "ns", "s", {"data": {"k": "canary"}})  # noqa: E731
DELETE: Call = lambda cluster: cluster.delete(SECRETS, "ns", "s")  # noqa: E731

WRITES = [
    pytest.param(CREATE, id="create"),
    pytest.param(REPLACE, id="replace"),
    pytest.param(PATCH, id="patch"),
    pytest.param(DELETE, id="delete"),
]
CALLS = [pytest.param(GET, id="get"), *WRITES]


def says(status: int = 200, body: Mapping[str, Any] | bytes = AS_STORED, fault: Fault = Fault.NONE, **headers: str) -> Script:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Script(status, content, {"Content-Type": "application/json", **sent}, fault)


@pytest.fixture
def mount(ca: CA, tmp_path: Path) -> Path:
    """A directory as kubelet mounts it."""
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text("first-token\n")
    (directory / "ca.crt").write_text(ca.path.read_text())
    return directory


def login(mount: Path, port: int) -> Login:
    return Login.find(mount, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)})


@pytest.fixture
async def cluster(server: ScriptedServer, mount: Path) -> AsyncIterator[Cluster]:
    connected = Cluster(login(mount, server.port), PATIENT)
    yield connected
    await connected.close()


# What goes over the wire


@pytest.mark.parametrize(
    ("call", "method", "target", "content_type"),
    [
        pytest.param(GET, "GET", "/api/v1/namespaces/ns/secrets/s", None, id="get"),
        pytest.param(lambda c: c.get(NAMESPACES, None, "kube-system"), "GET", "/api/v1/namespaces/kube-system", None, id="no namespace"),
        pytest.param(
            lambda c: c.get(USERGRANTS, "ns", "g"), "GET", "/apis/grantkeeper.dev/v1alpha1/namespaces/ns/usergrants/g", None, id="own kind"
        ),
        pytest.param(CREATE, "POST", "/api/v1/namespaces/ns/secrets", "application/json", id="create"),
        pytest.param(REPLACE, "PUT", "/api/v1/namespaces/ns/secrets/s", "application/json", id="replace"),
        pytest.param(
            lambda c: c.patch(USERGRANTS, "ns", "g", {"status": {}}, subresource="status"),
            "PATCH",
            "/apis/grantkeeper.dev/v1alpha1/namespaces/ns/usergrants/g/status",
            "application/merge-patch+json",
            id="patch of a subresource",
        ),
        pytest.param(DELETE, "DELETE", "/api/v1/namespaces/ns/secrets/s", "application/json", id="delete"),
    ],
)
async def test_each_verb_is_one_request(
    cluster: Cluster, server: ScriptedServer, call: Call, method: str, target: str, content_type: str | None
) -> None:
    server.answer(says())
    await call(cluster)
    (received,) = server.received
    assert (received.method, received.target, received.headers.get("content-type")) == (method, target, content_type)
    assert received.headers["authorization"] == "Bearer first-token"


async def test_what_is_written_is_what_was_given_and_what_comes_back_is_what_was_stored(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(says())
    assert await cluster.replace(SECRETS, BODY) == AS_STORED
    assert json.loads(server.received[0].body) == BODY


async def test_a_replacement_must_name_the_version_it_was_read_at(cluster: Cluster, server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="version"):
        await cluster.replace(SECRETS, {"metadata": {"name": "s", "namespace": "ns"}})
    assert server.received == []


async def test_a_deletion_carries_its_conditions(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(says())
    await cluster.delete(SECRETS, "ns", "s", uid="u", resource_version="7")
    await cluster.delete(SECRETS, "ns", "s")
    assert [json.loads(each.body)["preconditions"] for each in server.received] == [{"uid": "u", "resourceVersion": "7"}, {}]


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../secrets", "a?b", "a#b", "a%2fb", "A", "a b", "a\n", "-a", "ü", "a" * 254])
async def test_a_name_that_no_object_can_have_is_not_even_asked_for(cluster: Cluster, server: ScriptedServer, name: str) -> None:
    with pytest.raises(NotFound):
        await cluster.get(SECRETS, "ns", name)
    with pytest.raises(NotFound):
        await cluster.get(SECRETS, name, "s")
    with pytest.raises(NotFound):
        await cluster.create(SECRETS, name, BODY)
    assert server.received == []


async def test_no_proxy_of_the_environment_is_used(cluster: Cluster, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    server.answer(says())
    await cluster.get(SECRETS, "ns", "s")


async def test_a_redirect_is_not_followed(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(says(307, Location="https://127.0.0.1:1/elsewhere"))
    with pytest.raises(Invalid):
        await cluster.get(SECRETS, "ns", "s")
    assert len(server.received) == 1


# Lists


def page(*names: str, more: str = "") -> Script:
    return says(body={"metadata": {"continue": more}, "items": [{"metadata": {"name": name}} for name in names]})


async def test_a_list_is_read_in_chunks(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(page("a", "b", more="next/one+"), page("c"))
    found = await cluster.list(SECRETS, labels="grantkeeper.dev/kind=sealed")
    assert [each["metadata"]["name"] for each in found] == ["a", "b", "c"]
    query = f"/api/v1/secrets?limit={CHUNK}&labelSelector=grantkeeper.dev/kind%3Dsealed"
    assert [each.target for each in server.received] == [query, f"{query}&continue=next/one%2B"]


async def test_the_next_chunk_is_on_its_way_while_one_is_looked_at(server: ScriptedServer, mount: Path) -> None:
    server.answer(page("a", more="next"), page("b"))

    def look() -> int:
        """As whoever takes in a chunk: waiting for nothing, so that its event loop does nothing else."""
        give_up_at = time.monotonic() + 20
        while len(server.received) < 2 and time.monotonic() < give_up_at:
            time.sleep(0.01)
        return len(server.received)

    async def read() -> list[int]:
        cluster = Cluster(login(mount, server.port), PATIENT)
        try:
            return [look() async for _ in cluster.pages(SECRETS)]
        finally:
            await cluster.close()

    assert await asyncio.to_thread(looping.run, read()) == [2, 2]


async def test_a_list_that_expired_begins_again(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(page("old", more="token"), says(410), page("new"))
    assert [each["metadata"]["name"] for each in await cluster.list(SECRETS, "ns")] == ["new"]


async def test_whoever_reads_in_chunks_is_told_when_a_list_begins_and_begins_again(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(page("a", more="1"), page("b", more="2"), says(410), page("a", more="3"), page("b"))
    told: list[str] = []
    pages = cluster.pages(SECRETS, begun=lambda: told.append("begun"))
    async for found in pages:
        told += [each["metadata"]["name"] for each in found]
    assert told == ["begun", "a", "b", "begun", "a", "b"]


async def test_nothing_found_is_an_empty_list(cluster: Cluster, server: ScriptedServer) -> None:
    server.answer(says(body={"metadata": {}, "items": None}))
    assert await cluster.list(SECRETS, "ns") == []


# What goes wrong


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Invalid), (401, Forbidden), (403, Forbidden), (404, NotFound), (405, Invalid), (409, Conflict), (413, Invalid), (422, Invalid)],
)
@pytest.mark.parametrize("call", CALLS)
async def test_a_refusal_is_one_of_ours_and_final(
    cluster: Cluster, server: ScriptedServer, call: Call, status: int, error: type[ClusterError]
) -> None:
    server.answer(says(status))
    with pytest.raises(error):
        await call(cluster)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("call", WRITES)
async def test_a_write_that_the_server_may_have_carried_out_is_not_sent_again(
    cluster: Cluster, server: ScriptedServer, call: Call, status: int
) -> None:
    server.answer(says(status, Retry_After="0"), says())
    with pytest.raises(Unreachable, match=str(status)):
        await call(cluster)
    assert len(server.received) == 1


LOST = [
    pytest.param(says(fault=Fault.CLOSE), id="closed without an answer"),
    pytest.param(says(fault=Fault.RESET), id="reset"),
    pytest.param(says(fault=Fault.CUT), id="cut in half"),
    pytest.param(says(body=b"<html>"), id="not JSON"),
    pytest.param(says(body=b"[]"), id="not an object"),
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("call", WRITES)
async def test_a_write_whose_answer_is_lost_is_not_sent_again(cluster: Cluster, server: ScriptedServer, call: Call, lost: Script) -> None:
    await lose(cluster, server, call, lost)


@pytest.mark.parametrize("call", WRITES)
async def test_a_write_that_is_never_answered_is_not_sent_again(server: ScriptedServer, mount: Path, call: Call) -> None:
    cluster = Cluster(login(mount, server.port), BRISK)
    await lose(cluster, server, call, says(fault=Fault.SILENCE))
    await cluster.close()


async def lose(cluster: Cluster, server: ScriptedServer, call: Call, lost: Script) -> None:
    """Call, on a kept connection: there the library would send PUT and DELETE again by itself."""
    server.answer(says())
    await cluster.get(SECRETS, "ns", "s")
    asked, connected = len(server.received), server.connections
    server.answer(lost, says())
    with pytest.raises(Unreachable) as failure:
        await call(cluster)
    async with asyncio.timeout(20):
        while len(server.received) == asked:  # noqa: ASYNC110  # who gave up may have done so before the server had read it
            await asyncio.sleep(0.01)
    assert (len(server.received), server.connections) == (asked + 1, connected)
    assert "canary" not in str(failure.value)


@pytest.mark.parametrize("lost", LOST)
async def test_a_read_whose_answer_is_lost_is_sent_again(cluster: Cluster, server: ScriptedServer, lost: Script) -> None:
    server.answer(lost, says())
    assert await cluster.get(SECRETS, "ns", "s") == AS_STORED
    assert len(server.received) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_read_is_tried_again(cluster: Cluster, server: ScriptedServer, status: int) -> None:
    server.answer(says(status), says(status), says())
    assert await cluster.get(SECRETS, "ns", "s") == AS_STORED


@pytest.mark.parametrize("call", CALLS)
async def test_what_was_turned_away_is_sent_again(cluster: Cluster, server: ScriptedServer, call: Call) -> None:
    server.answer(says(429, Retry_After="0"), says())
    await call(cluster)
    assert len(server.received) == 2


async def test_a_pause_that_the_server_asks_for_is_kept_and_a_too_long_one_is_not_waited_for(server: ScriptedServer, mount: Path) -> None:
    cluster = Cluster(login(mount, server.port), Pace(patience=timedelta(seconds=20)))
    clock = asyncio.get_running_loop().time
    server.answer(says(429, Retry_After="1"), says())
    begun = clock()
    await cluster.create(SECRETS, "ns", BODY)
    assert clock() - begun >= 1
    server.answer(says(429, Retry_After="30"))
    with pytest.raises(Unreachable, match="429"):
        await cluster.create(SECRETS, "ns", BODY)
    assert clock() - begun < 20
    await cluster.close()


async def test_it_gives_up_in_time(server: ScriptedServer, mount: Path) -> None:
    cluster = Cluster(login(mount, server.port), Pace(patience=timedelta(seconds=3)))
    server.answer(says(503))
    with pytest.raises(Unreachable, match="503"):
        await cluster.get(SECRETS, "ns", "s")
    assert 2 <= len(server.received) <= 5
    await cluster.close()


@pytest.mark.parametrize("call", CALLS)
async def test_where_nobody_listens_even_a_write_is_tried_again(ca: CA, mount: Path, call: Call) -> None:
    port = free_port()
    cluster = Cluster(login(mount, port), PATIENT)
    calling = asyncio.ensure_future(call(cluster))
    await asyncio.sleep(0.05)
    async with scripted_server(*ca.issue(["127.0.0.1"]), port=port) as server:
        server.answer(says())
        await calling
        assert len(server.received) == 1
        await cluster.close()


async def test_where_nobody_ever_listens_it_says_so(mount: Path) -> None:
    cluster = Cluster(login(mount, free_port()), Pace(patience=timedelta(seconds=0.2)))
    with pytest.raises(Unreachable, match=re.escape("no connection to https://127.0.0.1")):
        await cluster.create(SECRETS, "ns", BODY)
    await cluster.close()


async def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(server: ScriptedServer, mount: Path, tmp_path: Path) -> None:
    (mount / "ca.crt").write_text(make_ca(tmp_path).path.read_text())
    cluster = Cluster(login(mount, server.port), Pace(patience=timedelta(0)))
    with pytest.raises(Unreachable, match="Certificate"):
        await cluster.get(SECRETS, "ns", "s")
    assert server.received == []
    await cluster.close()


@pytest.mark.parametrize("status", [403, 422])
async def test_the_servers_message_is_repeated_where_a_person_must_act_but_not_without_end(
    cluster: Cluster, server: ScriptedServer, status: int
) -> None:
    server.answer(says(status, {"message": "you may not\n" + "x" * 1000}))
    with pytest.raises(ClusterError, match="you may not x") as failure:
        await cluster.create(SECRETS, "ns", BODY)
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 503])
async def test_no_other_answer_is_repeated(cluster: Cluster, server: ScriptedServer, status: int) -> None:
    server.answer(says(status, {"message": "cannot read {canary}"}, Retry_After="99"))
    with pytest.raises(ClusterError) as failure:
        await cluster.create(SECRETS, "ns", BODY)
    assert "canary" not in str(failure.value)
    assert failure.value.__cause__ is None


# Who is asking


def token_of(received: Received) -> str:
    return received.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("call", CALLS)
async def test_a_replaced_token_is_read_when_the_old_one_is_refused(
    cluster: Cluster, server: ScriptedServer, mount: Path, call: Call
) -> None:
    server.answer(says(401), says())
    (mount / "token").write_text("second-token")
    await call(cluster)
    assert [token_of(each) for each in server.received] == ["first-token", "second-token"]


async def test_a_replaced_token_is_read_in_time_without_a_refusal(server: ScriptedServer, mount: Path) -> None:
    cluster = Cluster(login(mount, server.port), Pace(reread=timedelta(0)))
    await cluster.get(SECRETS, "ns", "s")
    (mount / "token").write_text("second-token")
    await cluster.get(SECRETS, "ns", "s")
    assert [token_of(each) for each in server.received] == ["first-token", "second-token"]
    await cluster.close()


async def test_a_replaced_authority_is_believed(server: ScriptedServer, ca: CA, mount: Path, tmp_path: Path) -> None:
    (mount / "ca.crt").write_text(make_ca(tmp_path).path.read_text())
    cluster = Cluster(login(mount, server.port), Pace(patience=timedelta(0), reread=timedelta(0)))
    with pytest.raises(Unreachable):
        await cluster.get(SECRETS, "ns", "s")
    (mount / "ca.crt").write_text(ca.path.read_text())
    await cluster.get(SECRETS, "ns", "s")
    await cluster.close()


async def test_while_the_files_are_being_replaced_those_from_before_serve(server: ScriptedServer, mount: Path) -> None:
    cluster = Cluster(login(mount, server.port), Pace(reread=timedelta(0)))
    (mount / "token").rename(mount / "moved")
    await cluster.get(SECRETS, "ns", "s")
    assert token_of(server.received[0]) == "first-token"
    await cluster.close()


async def test_calls_at_once_share_at_most_32_connections(server: ScriptedServer, mount: Path) -> None:
    cluster = Cluster(login(mount, server.port), PATIENT)
    await asyncio.gather(*(cluster.get(SECRETS, "ns", f"s-{number}") for number in range(100)))
    assert len(server.received) == 100
    assert server.connections <= 32
    await cluster.close()


def test_files_that_are_not_there_are_a_sentence_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY"):
        Cluster(login(tmp_path, 443))


def test_an_authority_that_is_none_is_a_sentence_at_the_start(mount: Path) -> None:
    (mount / "ca.crt").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(SettingsError, match="must be PEM") as failure:
        Cluster(login(mount, 443))
    assert not isinstance(failure.value.__cause__, ssl.SSLError)
