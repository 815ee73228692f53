"""How many grants a connector has: said in a while, with whatever else there is to say, and never for nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, USERGRANTS
from grantkeeper.controller.agenda import Subject
from grantkeeper.controller.registry import Name
from grantkeeper.controller.running import CONNECTOR, COUNT
from grantkeeper.errors import Conflict
from stories.scene import GRANT_BODY, NAMESPACE, Scene

CALENDAR = (NAMESPACE, "calendar")
SUBJECT = (COUNT, f"{NAMESPACE}/calendar")


def listen(scene: Scene) -> list[Name]:
    """The connectors whose grants are to be counted in a while."""
    later: list[Name] = []
    scene.controller.connectors.reporter.count_later = later.append
    return later


async def add(scene: Scene, *names: str) -> None:
    for name in names:
        await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": name}})
    await scene.settle()


async def test_grants_are_counted_when_their_time_has_come() -> None:
    scene = await Scene.open()
    assert (await scene.connector())["grants"] == 1, "said with the first judgement"
    later = listen(scene)
    await add(scene, "bob", "carol")
    assert (await scene.connector())["grants"] == 1
    assert set(later) == {CALENDAR}
    await scene.controller.keep(SUBJECT)
    assert (await scene.connector())["grants"] == 3
    before = scene.cluster.version
    await scene.controller.keep(SUBJECT)
    assert scene.cluster.version == before, "it wrote though nothing had changed"
    later.clear()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "bob")
    await scene.settle()
    assert set(later) == {CALENDAR}
    await scene.controller.keep(SUBJECT)
    assert (await scene.connector())["grants"] == 2


async def test_a_grant_that_comes_or_goes_has_them_counted_though_nobody_looks_at_the_connector() -> None:
    scene = await Scene.open()
    later = listen(scene)
    await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "bob"}})
    scene.tell_news()
    assert later == [CALENDAR]


async def test_what_happens_to_grants_does_not_have_them_counted() -> None:
    scene = await Scene.open()
    later = listen(scene)
    await scene.bring(await scene.asked())
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"purpose": "another"}})
    await scene.pass_time(timedelta(hours=1))
    assert later == []


async def test_the_number_is_said_at_once_with_something_else() -> None:
    scene = await Scene.open()
    await add(scene, "bob")
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"scopeSeparator": "Comma"}})
    await scene.settle()
    assert (await scene.connector())["grants"] == 2


async def test_a_crowd_is_one_count_ten_seconds_later() -> None:
    scene = await Scene.open()
    kept: list[Subject] = []

    async def keep(subject: Subject) -> None:
        kept.append(subject)

    async def let_run(span: timedelta) -> None:
        scene.hands[0] += span
        scene.controller.looks.wake(("stir", str(len(kept))))
        for _ in range(5):
            await asyncio.sleep(0)

    running = asyncio.create_task(scene.controller.looks.run(keep))
    await let_run(timedelta(0))
    kept.clear()
    await add(scene, "bob", "carol")
    await let_run(timedelta(seconds=5))
    await add(scene, "dave")
    await let_run(timedelta(seconds=4.9))
    assert SUBJECT not in kept
    await let_run(timedelta(seconds=0.1))
    await let_run(timedelta(minutes=1))
    assert kept.count(SUBJECT) == 1
    running.cancel()


async def test_a_restart_writes_nothing_and_counts_what_it_missed_later() -> None:
    scene = await Scene.open()
    before = scene.cluster.version
    await scene.restart()
    await scene.controller.keep(SUBJECT)
    await scene.settle()
    assert scene.cluster.version == before
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    scene.cluster.take_news()
    await scene.restart()
    later = listen(scene)
    await scene.settle()
    assert (await scene.connector())["grants"] == 1
    assert set(later) == {CALENDAR}
    await scene.controller.keep(SUBJECT)
    assert (await scene.connector())["grants"] == 0


async def test_what_is_judged_while_the_grants_are_counted_is_said_all_the_same() -> None:
    scene = await Scene.open()
    await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "bob"}})
    await scene.patch_connector(scopeSeparator="Comma")
    scene.tell_news()

    async def count() -> None:
        await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"status": {"grants": 2}}, subresource="status")
        scene.cluster.take_news()  # our own write: no watch brings it

    scene.cluster.troubles.append(
        Trouble("patch", "oauthconnectors/", count, concerns=lambda patch: "observedGeneration" in patch["status"])
    )
    await scene.controller.keep((CONNECTOR, f"{NAMESPACE}/calendar"))
    said = await scene.connector()
    assert (said["observedGeneration"], said["grants"]) == (2, 2)


async def test_what_met_a_conflict_twice_is_said_a_while_later() -> None:
    scene = await Scene.open()
    await add(scene, "bob")
    later = listen(scene)
    scene.cluster.troubles.append(Trouble("patch", "oauthconnectors/", failing(Conflict("changed since it was read")), times=2))
    await scene.controller.keep(SUBJECT)
    assert later == [CALENDAR]
    await scene.controller.keep(SUBJECT)
    assert (await scene.connector())["grants"] == 2


async def test_a_number_is_not_said_of_a_spec_that_nobody_has_judged() -> None:
    scene = await Scene.open()
    await add(scene, "bob")
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"scopeSeparator": "Comma"}})
    scene.tell_news()
    await scene.controller.keep(SUBJECT)
    assert (await scene.connector())["observedGeneration"] == 1
