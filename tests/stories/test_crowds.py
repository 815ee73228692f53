"""Many grants at once: what a server, a wrong secret or an outage may cost, and what it may not."""

from __future__ import annotations

import base64
import os
from collections import Counter
from datetime import timedelta

import pytest

from fakes.virtual import START, pass_time, play
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller import keeper as keeping
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core.records import Sealed
from grantkeeper.core.refreshing import REFRESH_ANNOTATION
from grantkeeper.resources import OAuthConnectorSpec
from stories.crowd import Crowd, client_secret, most_in_a_second
from stories.scene import NAMESPACE, Scene

MANY = 150 if "BRIEF" in os.environ else 1000
MINUTES = 60.0
HOURS = 3600.0
SECOND = timedelta(seconds=1)


def replaced(secret: str) -> dict[str, dict[str, str]]:
    """The patch that writes another client secret."""
    return {"data": {"clientSecret": base64.b64encode(secret.encode()).decode()}}


def test_a_client_that_is_rejected_costs_a_thousand_grants_nothing_and_the_server_a_handful_of_requests() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.accepted = "rotated"
        await crowd.add("calendar", MANY, lambda n: START + timedelta(minutes=10) + n * timedelta(minutes=100) / MANY)
        await crowd.start()
        await pass_time(1 * HOURS)
        assert 3 <= len(server.refused) == len(server.begun) <= 10
        assert await crowd.reasons("Authorized") == {"Consented": MANY}, "no grant is dead"
        connector = await crowd.connector("calendar")
        assert (connector["Reachable"]["status"], connector["Reachable"]["reason"]) == ("False", "ClientRejected")
        alive = [grant for grant in await crowd.statuses() if grant["expirationTime"] > "2026-11-21T07:30:00Z"]
        assert len(alive) > 0.4 * MANY
        ready = Counter(c["status"] for grant in alive for c in grant["conditions"] if c["type"] == "Ready")
        assert ready == {"True": len(alive)}, "a token that lives is of use"
        waiting = [c["message"] for grant in alive for c in grant["conditions"] if c["type"] == "Fresh" and c["message"]]
        assert len(waiting) > MANY / 10
        assert set(waiting) == {"Refreshing fails: the authorization server rejects the client; see the connector."}

        await crowd.cluster.patch(SECRETS, NAMESPACE, "calendar-client", replaced("rotated"))
        before = len(server.begun)
        await pass_time(12)
        assert (await crowd.connector("calendar"))["Ready"]["status"] == "True", "it shows within a look and a second"
        await pass_time(2 * MINUTES)
        assert await crowd.reasons() == {"Ready": MANY}
        after = server.begun[before:]
        assert most_in_a_second([at for at, _ in after]) <= 10
        spent = [presented for _, presented in after]
        assert len(spent) == len(set(spent)), "what is accepted is presented once"

    play(story)


def test_a_probe_finds_out_that_the_server_has_been_mended() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.accepted = "another"
        await crowd.add("calendar", 50, lambda _: START + 10 * SECOND)
        await crowd.start()
        await pass_time(4 * MINUTES)
        server.accepted = "right"
        assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "ClientRejected"
        refused = len(server.refused)
        await pass_time(5 * MINUTES)
        times = [at for at in server.times if at > server.refused[-1]]
        assert len(server.refused) == refused
        assert len(times) == 50
        assert times[0] - server.refused[-1] == pytest.approx(240, abs=1), "after one, two, and four minutes"
        assert times[1] - times[0] > 0.099, "one tries, and when it has succeeded"
        assert times[-1] - times[0] < 6, "all go on"
        assert await crowd.reasons() == {"Ready": 50}
        assert (await crowd.connector("calendar"))["Ready"]["status"] == "True"

    play(story)


def test_when_the_secret_is_mended_nobody_sits_out_what_is_left_of_its_back_off() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.accepted = "another"
        object.__setattr__(crowd.controller.keeper.refresher.presenter, "chance", lambda: 0.99)
        await crowd.add("calendar", 1, lambda _: START + 10 * SECOND)
        await crowd.start()
        while len(server.refused) < 5:
            await pass_time(1)
        await crowd.cluster.patch(SECRETS, NAMESPACE, "calendar-client", replaced("another"))
        await pass_time(12)
        assert await crowd.reasons() == {"Ready": 1}, "it had 31 s to wait"

    play(story)


def test_the_second_client_secret_is_tried_at_once_and_remembered() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar", fallbackClientSecretRef={"name": "next"})
        await crowd.cluster.create(SECRETS, NAMESPACE, client_secret("next", "calendar", "new"))
        server = crowd.provider.servers["calendar"]
        await crowd.add("calendar", 100, lambda _: START + 10 * SECOND)
        server.accepted = "new"
        await crowd.start()
        await pass_time(1 * MINUTES)
        assert await crowd.reasons() == {"Ready": 100}
        assert 1 <= len(server.refused) <= 8, "those that were under way before it was known"
        took = server.times[-1] - server.times[0]
        assert took > (len(server.begun) - 1) / 10 - 0.01, "what is presented once more at once is owed to the limit"
        assert len(server.begun) == 100 + len(server.refused)
        connector = await crowd.connector("calendar")
        assert connector["Ready"]["status"] == "True"
        assert "fallback is in use" in connector["Reachable"]["message"]
        await crowd.cluster.patch(SECRETS, NAMESPACE, "calendar-client", replaced("new"))
        await pass_time(1 * HOURS)
        assert len(server.begun) > 200
        assert len(server.refused) <= 8, "nothing more was rejected"
        assert (await crowd.connector("calendar"))["Reachable"]["message"] == ""

    play(story)


@pytest.mark.parametrize(
    ("word", "status", "grants", "presented"),
    [
        pytest.param("invalid_client", 401, 1, 2, id="which is wrong"),
        pytest.param("unauthorized_client", 401, 1, 2, id="which is wrong, as Keycloak says it"),
        pytest.param("unauthorized_client", 400, 2, 2, id="of a client that may refresh for neither of two"),
        pytest.param("invalid_client_id", 400, 1, 1, id="of a client that there is not"),
    ],
)
def test_the_second_client_secret_is_tried_only_in_the_place_of_one(word: str, status: int, grants: int, presented: int) -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar", fallbackClientSecretRef={"name": "next"})
        await crowd.cluster.create(SECRETS, NAMESPACE, client_secret("next", "calendar", "new"))
        server = crowd.provider.servers["calendar"]
        server.rejection = (word, status)
        server.accepted = "neither"
        await crowd.add("calendar", grants, lambda _: START + 10 * SECOND)
        await crowd.start()
        await pass_time(20)
        assert len(server.begun) == presented
        assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "ClientRejected"

    play(story)


def test_a_rejection_that_comes_late_is_called_one_and_the_next_attempt_begins_with_the_second_client_secret() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar", fallbackClientSecretRef={"name": "next"})
        await crowd.cluster.create(SECRETS, NAMESPACE, client_secret("next", "calendar", "new"))
        server = crowd.provider.servers["calendar"]
        server.latency, server.accepted = 6, "new"
        await crowd.add("calendar", 1, lambda _: START + 30 * SECOND)
        await crowd.start()
        await pass_time(1)
        due = server.times[0]
        await pass_time(5.5)
        assert len(server.begun) == 1, "too late for another first byte under this claim"
        (status,) = await crowd.statuses()
        fresh = next(condition for condition in status["conditions"] if condition["type"] == "Fresh")
        assert "rejects the client" in fresh["message"]
        await pass_time(15)
        assert len(server.begun) == 2
        assert server.refused == [pytest.approx(due + 6)]
        assert await crowd.reasons() == {"Ready": 1}

    play(story)


def test_what_a_request_has_shown_is_not_forgotten_by_one_that_was_reading_the_secret_meanwhile() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.accepted = "another"
        await crowd.add("calendar", 100, lambda _: START + 10 * SECOND)
        crowd.cluster.takes = 0.25
        await crowd.start()
        await pass_time(10 * MINUTES)
        assert 4 <= len(server.refused) <= 8 + 3

    play(story)


def test_tokens_are_revoked_with_the_second_client_secret_too() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar", fallbackClientSecretRef={"name": "next"})
        await crowd.cluster.create(SECRETS, NAMESPACE, client_secret("next", "calendar", "new"))
        server = crowd.provider.servers["calendar"]
        server.accepted = "new"
        await crowd.add("calendar", 1, lambda _: START + timedelta(hours=1))
        await crowd.start()
        await crowd.cluster.delete(USERGRANTS, NAMESPACE, "calendar-0")
        await pass_time(5)
        assert server.revoked == ["calendar-0/0", "at-calendar-0"]
        assert await crowd.statuses() == []

    play(story)


def test_a_slow_server_holds_up_nobody_elses_grants() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("slow", "slower", "slowest", "fast", limits={"requestsPerSecond": 10, "concurrency": 64})
        for name in ("slow", "slower", "slowest"):
            crowd.provider.servers[name].latency = 60
            await crowd.add(name, 70, lambda _: START + timedelta(minutes=5))
        await crowd.add("fast", 150, lambda _: START + timedelta(minutes=5))
        await crowd.start()
        await pass_time(20)
        fast = crowd.provider.servers["fast"]
        assert len(fast.begun) == 150
        gaps = sorted(later - earlier for earlier, later in zip(fast.times, fast.times[1:], strict=False))
        assert gaps[-2] < 0.28, "99 of 100 wait for their own limit and nothing else"
        assert fast.times[-1] < 16
        assert crowd.provider.servers["slow"].most == 64
        await pass_time(20)

    play(story)


def test_after_an_outage_of_six_hours_all_are_fresh_as_soon_as_the_limit_allows_the_oldest_first() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        await crowd.add("calendar", MANY, lambda n: START + timedelta(minutes=10) + n * SECOND)
        server.is_away = True
        await crowd.start()
        await pass_time(6 * HOURS)
        assert server.attempts < 6 * HOURS / 30, "nobody is hammered with connections"
        assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "Unreachable"
        assert await crowd.reasons("Authorized") == {"Consented": MANY}
        assert await crowd.reasons() == {"RefreshFailing": MANY}, "and all have been told why"
        server.is_away = False
        back = 6 * HOURS
        await pass_time(3 * MINUTES)
        assert await crowd.reasons() == {"Ready": MANY}
        assert len(server.begun) == MANY
        assert most_in_a_second(server.times) <= 10
        assert server.times[0] - back <= 61, "a probe a minute"
        took = server.times[-1] - server.times[0]
        assert MANY / took >= 0.9 * 10, f"all were fresh {server.times[-1] - back:.0f} s after the server was back"
        order = [int(grant.rpartition("-")[2]) for grant in server.grants]
        assert order[9:] == sorted(order[9:]), "the oldest expiry first; the first few show that it is back"

    play(story)


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.retry_after = 600
        await crowd.add("calendar", 200, lambda _: START + 5 * SECOND)
        await crowd.start()
        await pass_time(5)
        first = len(server.begun)
        assert first <= 8, "those that were under way"
        assert "until 2026-11-21T06:40" in (await crowd.connector("calendar"))["Reachable"]["message"]
        server.retry_after = None
        await pass_time(590)
        assert len(server.begun) == first
        assert await crowd.reasons() == {"RefreshFailing": 200}
        await pass_time(30)
        assert await crowd.reasons() == {"Ready": 200}
        assert most_in_a_second(server.times) <= 10
        assert (await crowd.connector("calendar"))["Reachable"]["message"] == ""

    play(story)


def test_a_code_overtakes_the_backlog() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        await crowd.start()
        await crowd.cluster.create(
            USERGRANTS, NAMESPACE, {"metadata": {"name": "alice"}, "spec": {"connectorRef": {"name": "calendar"}, "user": "alice"}}
        )
        await pass_time(1)
        scene = Scene(crowd.controller, crowd.cluster, crowd.provider, [START])
        asked = await scene.asked()
        await crowd.add("calendar", 500, lambda _: START)
        await pass_time(5)
        waiting = 500 - len(server.begun)
        await scene.bring(asked, iss="https://calendar.example.com")
        await pass_time(1)
        assert waiting > 400
        assert [presented for at, presented in server.begun if "a-code" in presented] == ["a-code"]
        assert next(at for at, presented in server.begun if presented == "a-code") < 6.5

    play(story)


def test_a_limit_that_is_raised_counts_at_once() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar", limits={"requestsPerSecond": 1, "concurrency": 1})
        server = crowd.provider.servers["calendar"]
        await crowd.add("calendar", 300, lambda _: START)
        await crowd.start()
        await pass_time(10)
        before = len(server.begun)
        assert before <= 11
        raised = {"spec": {"limits": {"requestsPerSecond": 100, "concurrency": 32}}}
        await crowd.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", raised)
        await pass_time(4)
        assert len(server.begun) == 300
        assert server.most <= 32

    play(story)


def test_what_was_opened_for_a_turn_that_comes_soon_is_not_opened_again_and_not_kept_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, open_tokens = Counter[str](), Seals.open_tokens

    def count(seals: Seals, sealed: Sealed, spec: OAuthConnectorSpec) -> OpenedTokens | None:
        opened[sealed.name] += 1
        return open_tokens(seals, sealed, spec)

    monkeypatch.setattr(Seals, "open_tokens", count)

    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        await crowd.add("calendar", 100, lambda n: START + n * SECOND / 100)
        await crowd.start()
        await pass_time(0.9)
        keeper = crowd.controller.keeper
        assert 30 <= len(keeper.in_line) <= keeping.FEW < 90 <= sum(keeper.pacer.rank(uid) is not None for uid in keeper.registry.grants)
        refreshed = set(crowd.provider.servers["calendar"].grants)
        assert max(opened[name] for name in refreshed) == 2, "what was held, and what came"
        await pass_time(1)
        assert keeper.in_line == {}
        assert len(crowd.provider.servers["calendar"].grants) < 30, "most of them wait still"

    play(story)


def test_a_grant_that_is_deleted_while_it_waits_goes_at_once() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        crowd.provider.servers["calendar"].retry_after = 3600
        await crowd.add("calendar", 20, lambda _: START)
        await crowd.start()
        await pass_time(10)
        for n in range(20):
            await crowd.cluster.delete(USERGRANTS, NAMESPACE, f"calendar-{n}")
        await pass_time(10)
        assert await crowd.statuses() == []
        assert len(crowd.provider.servers["calendar"].revoked) == 40, "two tokens each"
        await pass_time(2 * HOURS)
        assert len(crowd.provider.servers["calendar"].begun) <= 8, "nothing of theirs is presented"

    play(story)


async def wish(crowd: Crowd, *numbers: int, value: str = "now") -> None:
    """Somebody asks for a refresh of these grants."""
    for number in numbers:
        annotated = {"metadata": {"annotations": {REFRESH_ANNOTATION: value}}}
        await crowd.cluster.patch(USERGRANTS, NAMESPACE, f"calendar-{number}", annotated)


def test_what_somebody_asks_for_overtakes_the_backlog_and_is_made_once() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        await crowd.add("calendar", 100, lambda n: START + timedelta(minutes=1) + n * SECOND if n < 99 else START + timedelta(minutes=50))
        await crowd.start()
        await pass_time(2)
        assert len(server.begun) < 30
        await wish(crowd, 98, 99)
        await pass_time(0.5)
        overtaken = server.grants[-1:-8:-1]
        assert {"calendar-98", "calendar-99"} <= set(overtaken), "one that waits, and one that nobody would have looked at"
        await pass_time(5 * MINUTES)
        assert Counter(server.grants) == Counter(f"calendar-{n}" for n in range(100))
        assert most_in_a_second(server.times) <= 10

    play(story)


def test_everybody_asking_for_everything_costs_the_server_no_more_than_its_limit() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        await crowd.add("calendar", 50, lambda n: START + timedelta(minutes=59) - n * SECOND)
        await crowd.start()
        for second in range(65):
            await wish(crowd, *range(50), value=str(second))
            await pass_time(1)
        in_line = server.grants[3:50]
        assert in_line == sorted(in_line, key=lambda name: -int(name.rpartition("-")[2])), "by their expiry, but for the first"
        await pass_time(2 * MINUTES)
        assert set(Counter(server.grants).values()) == {2, 3}, "at once, after a minute, and what was asked for meanwhile a minute later"
        assert most_in_a_second(server.times) <= 10
        handled = Counter(status["lastHandledRefresh"] for status in await crowd.statuses())
        assert handled == {"64": 50}

    play(story)
