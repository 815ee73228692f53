"""A sweep heals what the watches missed, and undoes nothing of what they bring while it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from fakes.cluster import MemoryCluster
from fakes.troubles import Trouble, failing
from fakes.virtual import play
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.adapters.login import Login
from grantkeeper.controller import running
from grantkeeper.errors import Unreachable
from stories.scene import CONNECTOR_BODY, GRANT_BODY, NAMESPACE, OPERATOR_NAMESPACE, Scene

WHEN = pytest.mark.parametrize(
    "is_late", [pytest.param(False, id="before the list was made"), pytest.param(True, id="while the list is on its way")]
)


async def delete(scene: Scene, kind: Kind, name: str) -> None:
    """Delete an object of the tenant's, and let the watch tell it."""
    await scene.cluster.delete(kind, NAMESPACE, name)
    scene.tell_news()


def during_a_list(scene: Scene, plural: str, happening: Any, *, is_late: bool) -> None:
    scene.cluster.troubles.append(Trouble("list", plural, happening, is_late=is_late))


@WHEN
async def test_a_grant_that_goes_during_a_sweep_stays_gone(is_late: bool) -> None:
    scene = await Scene.open()
    during_a_list(scene, "usergrants", lambda: delete(scene, USERGRANTS, "alice"), is_late=is_late)
    await scene.controller.sweeper.sweep()
    assert scene.controller.registry.grants == {}


@WHEN
async def test_a_connector_that_goes_during_a_sweep_stays_gone(is_late: bool) -> None:
    scene = await Scene.open_consented()
    during_a_list(scene, "oauthconnectors", lambda: delete(scene, OAUTHCONNECTORS, "calendar"), is_late=is_late)
    await scene.controller.sweeper.sweep()
    await scene.settle()
    assert (await scene.condition("Accepted"))["reason"] == "ConnectorNotFound"


@WHEN
async def test_a_delivered_secret_that_goes_during_a_sweep_is_made_again(is_late: bool) -> None:
    scene = await Scene.open_consented()
    during_a_list(scene, "secrets", lambda: delete(scene, SECRETS, "alice-token"), is_late=is_late)
    await scene.controller.sweeper.sweep()
    await scene.settle()
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"


@WHEN
async def test_what_is_made_during_a_sweep_stays_known(is_late: bool) -> None:
    scene = await Scene.open()

    async def another() -> None:
        await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "bob"}})
        scene.tell_news()

    during_a_list(scene, "usergrants", another, is_late=is_late)
    await scene.controller.sweeper.sweep()
    assert scene.controller.registry.grant_named(NAMESPACE, "bob") is not None


@pytest.mark.parametrize("is_made_before", [pytest.param(True, id="listed"), pytest.param(False, id="not listed")])
async def test_a_connector_that_is_made_anew_during_a_sweep_stays_known(is_made_before: bool) -> None:
    scene = await Scene.open()
    newer = {**CONNECTOR_BODY, "spec": {**CONNECTOR_BODY["spec"], "clientID": "another"}}

    async def remake() -> None:
        await scene.cluster.create(OAUTHCONNECTORS, NAMESPACE, newer)
        scene.tell_news()

    async def replace() -> None:
        await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
        if is_made_before:
            await remake()
        else:
            during_a_list(scene, "oauthconnectors", remake, is_late=True)

    during_a_list(scene, "secrets", replace, is_late=False)
    await scene.controller.sweeper.sweep()
    assert scene.controller.registry.connectors[NAMESPACE, "calendar"].spec.client_id == "another"


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [
        pytest.param(USERGRANTS, NAMESPACE, "alice", id="a grant"),
        pytest.param(OAUTHCONNECTORS, NAMESPACE, "calendar", id="a connector"),
        pytest.param(SECRETS, NAMESPACE, "alice-token", id="a delivered Secret"),
        pytest.param(SECRETS, OPERATOR_NAMESPACE, "", id="a sealed Secret"),
    ],
)
async def test_an_end_that_the_watches_missed_is_noticed(kind: Kind, namespace: str, name: str) -> None:
    scene = await Scene.open_consented()
    if kind is USERGRANTS:
        await scene.cluster.patch(kind, namespace, name, {"metadata": {"finalizers": []}})
    await scene.cluster.delete(kind, namespace, name or (await scene.sealed_secret())["metadata"]["name"])
    scene.cluster.take_news()
    registry = scene.controller.registry
    before = registry.take_stock()
    await scene.controller.sweeper.sweep()
    assert len(registry.take_stock()) == len(before) - 1


async def test_a_grant_that_cannot_be_read_is_not_taken_for_gone() -> None:
    scene = await Scene.open_consented()
    known = dict(scene.controller.registry.grants)
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"connectorRef": None}})
    scene.cluster.take_news()
    await scene.controller.sweeper.sweep()
    assert scene.controller.registry.grants == known


class DeafWatches:
    """Watches that bring nothing, and say when they are told to that something may have been missed."""

    readable: frozenset[str] = frozenset()

    def __init__(self, *_: object, on_gap: Callable[[], None], **__: object) -> None:
        self.begun = asyncio.Event()
        self.begun.set()
        asyncio.get_running_loop().call_later(60, on_gap)

    def start(self) -> None:
        """Nothing begins."""

    def stop(self) -> None:
        """Nothing ends."""

    def follow(self, readable: frozenset[str]) -> None:
        """Nothing is followed."""


def test_a_sweep_that_fails_is_repeated_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "Watches", DeafWatches)
    monkeypatch.setattr(running, "collect_less", lambda: None)

    async def story() -> None:
        scene = await Scene.open()
        working = asyncio.create_task(scene.controller.work(cast("Login", None)))
        await pass_by(30)
        await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "bob"}})
        scene.cluster.troubles = [Trouble("list", "usergrants", failing(Unreachable("500")), times=2)]
        await pass_by(29)
        assert scene.controller.registry.grant_named(NAMESPACE, "bob") is None, "no watch tells of it"
        await pass_by(40)
        assert scene.controller.registry.grant_named(NAMESPACE, "bob") is not None
        scene.controller.end()
        await working

    play(story)


async def pass_by(seconds: float) -> None:
    """Let the loop's time pass; a pause is over at once in stories."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


# In which order things are read


async def take_some_time() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def list_slowly(monkeypatch: pytest.MonkeyPatch, *, times: int = 1, failure: Exception | None = None) -> list[str]:
    """Lists come in two chunks; those of Secrets begin so many `times`, or fail after the first. What happens is told in order."""
    told: list[str] = []

    async def pages(
        self: MemoryCluster,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        begun: Callable[[], object] = lambda: None,
    ) -> AsyncIterator[list[dict[str, Any]]]:
        told.append(f"{kind.plural} asked for")
        for _ in range(times if kind is SECRETS else 1):
            await take_some_time()
            found = await self.list(kind, namespace, labels=labels)
            told.append(f"{kind.plural} as of now")
            begun()
            yield found[:1]
            await take_some_time()
        if kind is SECRETS and failure is not None:
            raise failure
        yield found[1:]
        told.append(f"{kind.plural} given")

    monkeypatch.setattr(MemoryCluster, "pages", pages)
    return told


async def test_what_is_read_at_first_is_read_side_by_side_grants_as_of_a_later_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    told = list_slowly(monkeypatch)
    await scene.restart()
    order = [told.index(event) for event in ("secrets as of now", "usergrants asked for", "secrets given")]
    assert order == sorted(order)
    assert (len(scene.controller.registry.grants), len(scene.controller.registry.sealed)) == (1, 1)


async def test_while_grants_are_kept_secrets_are_known_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    told = list_slowly(monkeypatch)
    await scene.controller.sweeper.sweep()
    assert told.index("secrets given") < told.index("usergrants asked for")


async def test_where_secrets_are_read_anew_grants_are_read_anew_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    told = list_slowly(monkeypatch, times=2)
    await scene.restart()
    last = len(told) - 1 - told[::-1].index("secrets as of now")
    assert told.index("usergrants asked for") < last, "they were being read already"
    assert "usergrants asked for" in told[last:]
    assert "usergrants given" in told[last:]


async def test_where_secrets_cannot_be_read_grants_are_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    told = list_slowly(monkeypatch, failure=Unreachable("500"))
    with pytest.raises(Unreachable):
        await scene.restart()
    assert "usergrants asked for" in told
    assert "usergrants given" not in told
    assert asyncio.all_tasks() == {asyncio.current_task()}
