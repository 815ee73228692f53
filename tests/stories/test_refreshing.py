"""Whatever goes wrong, in whatever order: how often a refresh token is presented, and what is known of it afterwards.

The server rotates strictly: a refresh token that is presented once more after it was spent ends the consent.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from urllib.parse import parse_qs

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.provider import MemoryProvider
from grantkeeper.adapters.provider import CONNECT_BY
from grantkeeper.core.messages import Answer, Request
from grantkeeper.core.refreshing import REFRESH_ANNOTATION
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderUnsent
from stories.scene import Scene

LIFETIME = 3600


class Killed(BaseException):
    """SIGKILL: nothing below may catch it."""


class Fate(Enum):
    """What becomes of one token request."""

    GRANTED = auto()
    UNSENT = auto()
    DISTRUSTED = auto()
    LATER = auto()
    REJECTED = auto()
    FAILED = auto()
    LOST_UNSPENT = auto()
    LOST_SPENT = auto()
    KILLED_UNSENT = auto()
    KILLED_UNSPENT = auto()
    KILLED_SPENT = auto()


UNSENT = {Fate.UNSENT, Fate.DISTRUSTED, Fate.KILLED_UNSENT}
UNANSWERED = {Fate.LOST_UNSPENT, Fate.LOST_SPENT, Fate.KILLED_UNSPENT, Fate.KILLED_SPENT}
SPENT = {Fate.GRANTED, Fate.LOST_SPENT, Fate.KILLED_SPENT}


@dataclass
class StrictServer(MemoryProvider):
    """Decides the fate of each refresh, and keeps a ledger of what was presented to it."""

    fates: list[Fate]
    ledger: dict[str, list[Fate]] = field(default_factory=lambda: defaultdict(list))
    valid: str = "rt-0"
    is_dead: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.answer = {"access_token": "at-0", "refresh_token": "rt-0", "token_type": "Bearer", "expires_in": LIFETIME}

    async def send(
        self,
        request: Request,
        *,
        ca_bundle: bytes | None,
        timeout: timedelta,  # noqa: ASYNC109
        connect_by: timedelta = CONNECT_BY,
        sent: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Take a token request, to whatever fate is next."""
        form = parse_qs(request.form.get_secret_value())
        if form["grant_type"] != ["refresh_token"]:
            return await super().send(request, ca_bundle=ca_bundle, timeout=timeout, connect_by=connect_by, sent=sent)
        return self._refresh(form["refresh_token"][0])

    def _refresh(self, token: str) -> Answer:
        fate = self.fates.pop(0) if self.fates else Fate.GRANTED
        if fate is Fate.KILLED_UNSENT:
            raise Killed
        if fate in UNSENT:
            raise ProviderUnsent("refused") if fate is Fate.UNSENT else ProviderDistrusted("not trusted")
        self.ledger[token].append(fate)
        if token != self.valid or self.is_dead:
            self.is_dead = True
            return _answer(400, {"error": "invalid_grant"}) if fate not in UNANSWERED else _vanish(fate)
        if fate in SPENT:
            self.valid = f"rt-{int(token.removeprefix('rt-')) + 1}"
        if fate in UNANSWERED:
            return _vanish(fate)
        match fate:
            case Fate.LATER:
                return _answer(503, {"error": "temporarily_unavailable"})
            case Fate.REJECTED:
                return _answer(401, {"error": "invalid_client"})
            case Fate.FAILED:
                return _answer(500, {"error": "server_error"})
        return _answer(
            200, {"access_token": f"at-{self.valid}", "refresh_token": self.valid, "token_type": "Bearer", "expires_in": LIFETIME}
        )


def _vanish(fate: Fate) -> Answer:
    raise Killed if fate in {Fate.KILLED_UNSPENT, Fate.KILLED_SPENT} else AnswerLost("reset")


def _answer(status: int, document: dict[str, object]) -> Answer:
    return Answer(status=status, content_type="application/json", retry_after=None, body=json.dumps(document).encode(), date=None)


async def play(
    fates: list[Fate], check: Callable[[StrictServer], None] = lambda _: None, *, is_wished: bool = False
) -> tuple[Scene, StrictServer]:
    """Consent once, then let the hours go by, starting the controller again whenever it was killed.

    Where it `is_wished`, somebody asks for another refresh all the time.
    """
    scene = await Scene.open()
    server = StrictServer(list(fates))
    scene.provider = server
    await scene.restart()
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"
    for number in range(3 * len(fates) + 4):
        if is_wished:
            await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: str(number)}})
        try:
            await scene.pass_time(timedelta(minutes=20))
        except Killed:
            await scene.restart()
            await _settle_alive(scene)
        check(server)
    return scene, server


async def _settle_alive(scene: Scene) -> None:
    while True:
        try:
            await scene.settle()
        except Killed:
            await scene.restart()
        else:
            return


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(fates=st.lists(st.sampled_from(Fate), max_size=12), is_wished=st.booleans())
def test_a_refresh_token_is_presented_once_and_once_more_only_after_an_answer_that_was_lost(fates: list[Fate], is_wished: bool) -> None:
    _, server = asyncio.run(play(fates, is_wished=is_wished))
    for token, seen in server.ledger.items():
        unanswered = [fate for fate in seen if fate in UNANSWERED]
        assert len(unanswered) <= 2, f"{token} was presented a third time after two lost answers: {seen}"
        if Fate.GRANTED in seen[:-1]:
            first = seen.index(Fate.GRANTED)
            assert any(fate in UNANSWERED for fate in seen[:first]), f"{token} was presented after it had been answered: {seen}"


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    fates=st.lists(st.sampled_from([Fate.GRANTED, *UNSENT, Fate.LATER, Fate.REJECTED, Fate.FAILED]), max_size=10), is_wished=st.booleans()
)
def test_what_spends_nothing_costs_no_consent(fates: list[Fate], is_wished: bool) -> None:
    if fates.count(Fate.KILLED_UNSENT) > 1:
        return  # twice in a row cannot be told from two lost answers
    scene, server = asyncio.run(play(fates, is_wished=is_wished))
    assert not server.is_dead
    assert asyncio.run(scene.reason()) == "Ready"


def test_a_lost_answer_of_a_token_that_was_spent_ends_in_a_question() -> None:
    scene, server = asyncio.run(play([Fate.LOST_SPENT]))
    assert server.ledger["rt-0"] == [Fate.LOST_SPENT, Fate.GRANTED]
    assert asyncio.run(scene.reason()) == "ReauthorizationRequired"


def test_a_retry_that_could_not_be_sent_does_not_forget_that_an_answer_was_lost() -> None:
    fates = [Fate.LOST_UNSPENT, Fate.UNSENT, Fate.LOST_UNSPENT, Fate.GRANTED]
    scene, server = asyncio.run(play(fates))
    assert server.ledger["rt-0"] == [Fate.LOST_UNSPENT, Fate.LOST_UNSPENT]
    assert asyncio.run(scene.reason()) == "ReauthorizationRequired"


def test_a_lost_answer_is_retried_only_when_the_access_token_is_about_to_expire() -> None:
    scene, server = asyncio.run(play([]))
    server.fates = [Fate.LOST_UNSPENT]

    async def until_lost() -> None:
        while not any(Fate.LOST_UNSPENT in seen for seen in server.ledger.values()):
            await scene.pass_time(timedelta(seconds=30))
        lost = next(token for token, seen in server.ledger.items() if Fate.LOST_UNSPENT in seen)
        expires_at = (await scene.status())["expirationTime"]
        while len(server.ledger[lost]) == 1:
            await scene.pass_time(timedelta(seconds=30))
        left = scene.hands[0].strftime("%H:%M:%S"), expires_at[11:19]
        assert left[0] <= left[1], "the access token ran out before the retry"
        assert (int(left[1][3:5]) - int(left[0][3:5])) % 60 <= 1, "the retry came while the access token was still of use"
        assert await scene.reason() == "Ready"

    asyncio.run(until_lost())
