"""A write may be stored and its answer lost, or meet another write: what was presented is known for sure all the same."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from pydantic import SecretStr

from fakes.cluster import Object
from fakes.provider import TOKENS
from fakes.provider import answer as answering
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import SECRETS
from grantkeeper.controller.respecting import CLAIM_RESPECTED_FOR
from grantkeeper.controller.running import GRANT
from grantkeeper.core.records import RECOVERED_TYPE, Claim
from grantkeeper.errors import Conflict, Unreachable
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}
LOST = failing(Unreachable("no answer"))
SEALED = "secrets/grant-"


def is_claim(body: Object) -> bool:
    return "claim" in body["data"]


def is_commit(body: Object) -> bool:
    return "claim" not in body["data"] and "tokenset" in body["data"]


async def open_due(*, by_code: bool) -> Scene:
    """The scene right before something is presented: a code that has come, or a refresh token that is due."""
    if by_code:
        scene = await Scene.open()
        await scene.bring(await scene.asked())
    else:
        scene = await Scene.open_consented()
        scene.hands[0] += DUE
    scene.provider.answer = NEXT
    return scene


async def see_success(scene: Scene) -> None:
    """The one answer that came is stored and delivered, and no doubt is left behind."""
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1, "it must be presented exactly once"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    sealed = await scene.sealed()
    assert sealed.claim is None
    assert sealed.outcome is not None
    assert sealed.outcome.failures == 0
    assert scene.provider.revoked == []
    names = [secret["metadata"]["name"] for secret in await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE)]
    assert sorted(names) == [sealed.secret_name, "grantkeeper-keyring"], "nothing needs to be kept aside"


@pytest.fixture(params=[pytest.param(True, id="a code"), pytest.param(False, id="a refresh token")])
async def scene(request: pytest.FixtureRequest) -> Scene:
    return await open_due(by_code=request.param)


@pytest.mark.parametrize("reads_lost", [pytest.param(0, id="the next read succeeds"), pytest.param(3, id="three reads are lost as well")])
async def test_a_claim_whose_answer_was_lost_counts_once(scene: Scene, reads_lost: int) -> None:
    counted: list[int] = []

    async def look() -> None:
        claim = (await scene.sealed()).claim
        counted.append(claim.presentations if claim is not None else 0)

    async def lose() -> None:
        scene.cluster.troubles.append(Trouble("get", SEALED, LOST, times=reads_lost))
        raise Unreachable("no answer")

    scene.provider.meanwhile = look
    scene.cluster.troubles.append(Trouble("replace", SEALED, lose, is_late=True, concerns=is_claim))
    await scene.settle()
    assert counted == [1], "what was not presented must not count"
    await see_success(scene)


async def test_a_claim_that_a_machine_slept_over_is_made_anew_before_anything_is_presented(scene: Scene) -> None:
    """The monotonic clock stands still meanwhile; the other one does not."""
    claims: list[Claim | None] = []

    async def sleep() -> None:
        scene.hands[0] += timedelta(seconds=6)
        claims.append((await scene.sealed()).claim)

    async def look() -> None:
        claims.append((await scene.sealed()).claim)

    scene.cluster.troubles.append(Trouble("replace", SEALED, sleep, is_late=True, concerns=is_claim))
    scene.provider.meanwhile = look
    await scene.settle()
    await scene.pass_time(timedelta(seconds=2))
    await see_success(scene)
    slept_over, presented_under = claims
    assert slept_over is not None
    assert presented_under is not None
    assert presented_under.attempt != slept_over.attempt


async def test_claims_whose_answers_are_always_lost_cost_no_consent() -> None:
    scene = await open_due(by_code=False)
    scene.cluster.troubles.append(Trouble("replace", SEALED, LOST, is_late=True, concerns=is_claim, times=99))
    for _ in range(4):
        await scene.settle()
        assert await scene.reason() == "Ready"
        scene.hands[0] += DUE
    assert len(scene.provider.sent) == 4


async def test_claims_of_the_last_minute_whose_answers_are_lost_cost_no_consent() -> None:
    scene = await open_due(by_code=False)
    scene.hands[0] += timedelta(minutes=16)  # expired: from here on, waiting to present again would gain nothing
    scene.cluster.troubles.append(Trouble("replace", SEALED, LOST, is_late=True, concerns=is_claim, times=2))
    await scene.settle()
    await see_success(scene)


async def test_a_claim_that_a_proxy_writes_twice_is_known_again(scene: Scene) -> None:
    """The second write meets the first, and its answer is the one that comes back."""
    conflict = failing(Conflict("changed since it was read"))
    scene.cluster.troubles.append(Trouble("replace", SEALED, conflict, is_late=True, concerns=is_claim, times=2))
    await scene.settle()
    await see_success(scene)


async def test_a_claim_that_was_not_stored_is_not_presented_under() -> None:
    scene = await open_due(by_code=False)
    scene.cluster.troubles.append(Trouble("replace", SEALED, LOST, concerns=is_claim, times=99))
    await scene.settle()
    assert scene.provider.sent == []
    scene.cluster.troubles.clear()
    await scene.settle()
    await see_success(scene)


async def annotate(scene: Scene) -> None:
    """An edit that harms nothing, by somebody else."""
    name = (await scene.sealed_secret())["metadata"]["name"]
    version = scene.cluster.version
    await scene.cluster.patch(SECRETS, OPERATOR_NAMESPACE, name, {"metadata": {"annotations": {f"example.com/{version}": "x"}}})


async def delete(scene: Scene) -> None:
    name = (await scene.sealed_secret())["metadata"]["name"]
    await scene.cluster.delete(SECRETS, OPERATOR_NAMESPACE, name)


async def lose(_: Scene) -> None:
    raise Unreachable("no answer")


@pytest.mark.parametrize(
    ("happens", "is_late", "times"),
    [
        pytest.param(lose, True, 1, id="is stored, and its answer is lost"),
        pytest.param(lose, False, 4, id="is not stored, four times"),
        pytest.param(annotate, False, 4, id="meets an edit that harms nothing, four times"),
        pytest.param(delete, False, 1, id="finds the Secret deleted"),
    ],
)
async def test_a_commit_succeeds_though_it(scene: Scene, happens: Callable[[Scene], Awaitable[None]], is_late: bool, times: int) -> None:
    scene.cluster.troubles.append(
        Trouble("replace", SEALED, lambda: happens(scene), is_late=is_late, concerns=is_commit, times=times),
    )
    await scene.settle()
    await see_success(scene)
    if happens is annotate:
        assert len((await scene.sealed()).annotations) == 1 + times


async def test_a_commit_succeeds_though_the_read_after_a_conflict_fails(scene: Scene) -> None:
    async def annotate_and_lose_reads() -> None:
        await annotate(scene)
        scene.cluster.troubles.append(Trouble("get", SEALED, LOST, times=3))

    scene.cluster.troubles.append(Trouble("replace", SEALED, annotate_and_lose_reads, concerns=is_commit))
    await scene.settle()
    await see_success(scene)


async def test_what_came_is_stored_before_its_success_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("thousands are to be woken")

    with monkeypatch.context() as broken:
        broken.setattr(type(scene.controller.connectors), "note_problem", fail)
        with pytest.raises(RuntimeError):
            await scene.settle()
    await scene.settle()
    await see_success(scene)


async def test_what_is_on_its_way_is_stored_though_its_pass_is_cancelled(scene: Scene) -> None:
    is_sent, may_come = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        is_sent.set()
        await may_come.wait()

    scene.provider.meanwhile = wait
    scene.tell_news()
    looking = asyncio.create_task(scene.controller.keep((GRANT, scene.uid)))
    await is_sent.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    may_come.set()
    for _ in range(50):  # turns of the loop, more than it takes
        await asyncio.sleep(0)
    await scene.settle()
    await see_success(scene)


async def test_an_outcome_that_cannot_be_stored_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, pauses, pause = await open_due(by_code=False), list[float](), asyncio.sleep

    async def count(seconds: float) -> None:
        pauses.append(seconds)
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", count)
    scene.provider.next = [answering({"error": "invalid_grant"}, 400)]
    scene.cluster.troubles.append(Trouble("replace", SEALED, LOST, concerns=is_commit, times=8))
    await scene.settle()
    assert await scene.reason() == "ReauthorizationRequired"
    pauses = [seconds for seconds in pauses if seconds]
    assert len(pauses) == 8
    assert pauses[0] <= 2
    assert all(2.5 <= pause <= 5 for pause in pauses[2:]), "not more often, and not so seldom that another leader is faster"


FOREIGN = b'{"attempt":"theirs","holder":{"pod":"b-pod","boot":"b"},"spending":"refresh_token","hash":"h","generation":1}'
UNREADABLE = b"no record of ours"


async def write(scene: Scene, key: str, value: bytes | str) -> None:
    """Somebody else writes into the sealed Secret."""
    secret = await scene.sealed_secret()
    secret["data"][key] = base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
    await scene.cluster.replace(SECRETS, secret)


async def test_a_refreshed_set_is_stored_although_its_claim_was_taken_for_it_is_newer_than_what_stands_there(scene: Scene) -> None:
    async def take_claim() -> None:
        scene.provider.meanwhile = None
        await write(scene, "claim", FOREIGN)

    scene.provider.meanwhile = take_claim
    await scene.settle()
    await see_success(scene)


async def commit_a_sibling(scene: Scene) -> None:
    """Another holder presents the same token, within a leeway, and stores what it got."""
    gatherer = scene.controller.keeper.gatherer
    sealed, connector = await scene.sealed(), scene.controller.registry.connectors[NAMESPACE, "calendar"]
    held = gatherer.seals.open_tokens(sealed, connector.spec)
    assert held is not None
    theirs = held.tokens.model_copy(update={"access_token": SecretStr("theirs")})
    grant = scene.controller.registry.grants[scene.uid]
    key = gatherer.seals.prepare()
    await write(scene, "tokenset", gatherer.seals.seal_tokens(theirs, grant, connector.spec, generation=held.generation + 1, key=key))
    await write(scene, "claim", FOREIGN)


async def spoil(scene: Scene) -> None:
    await write(scene, "claim", UNREADABLE)


@pytest.mark.parametrize(
    "meanwhile",
    [pytest.param(commit_a_sibling, id="another successor stored"), pytest.param(spoil, id="what nobody can read")],
)
@pytest.mark.parametrize("first_try_fails", [pytest.param(False, id="at once"), pytest.param(True, id="at the second try")])
async def test_a_refreshed_set_is_kept_aside_when_it_finds(meanwhile: Callable[[Scene], Awaitable[None]], first_try_fails: bool) -> None:
    scene = await open_due(by_code=False)
    held = await scene.sealed()

    async def happen() -> None:
        scene.provider.meanwhile = None
        await meanwhile(scene)

    scene.provider.meanwhile = happen
    if first_try_fails:
        scene.cluster.troubles.append(Trouble("create", "secrets/recovered-", LOST))
    await scene.settle()
    assert len(scene.provider.sent) == 1
    aside = await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, f"recovered-{scene.uid}-1")
    assert aside["type"] == RECOVERED_TYPE
    text = base64.b64decode(aside["data"]["tokenset"]).decode()
    connector = scene.controller.registry.connectors[NAMESPACE, "calendar"]
    opened = scene.controller.keeper.refresher.seals.open_tokens(held.model_copy(update={"tokenset": text}), connector.spec)
    assert opened is not None
    assert opened.tokens.access_token.get_secret_value() == "the-next"
    claim = base64.b64decode((await scene.sealed_secret())["data"]["claim"])
    assert claim == (FOREIGN if meanwhile is commit_a_sibling else UNREADABLE), "what the other one wrote stands"


@pytest.mark.parametrize("verb", ["replace", "get"])
async def test_however_long_the_api_server_is_away_what_came_is_stored_before_anybody_takes_the_claim_for_abandoned(
    monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    scene = await open_due(by_code=False)
    pauses: list[float] = []

    async def fall() -> None:
        scene.provider.meanwhile = None
        scene.cluster.troubles = [Trouble("replace", SEALED, LOST, times=1 if verb == "get" else 60)]
        scene.cluster.troubles += [Trouble("get", SEALED, LOST, times=60)] if verb == "get" else []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    scene.provider.meanwhile = fall
    await scene.settle()
    await see_success(scene)
    assert len(pauses) >= 60
    longest_call = timedelta(seconds=20)
    assert max(pauses) < (CLAIM_RESPECTED_FOR - longest_call).total_seconds()
