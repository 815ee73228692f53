"""What a token endpoint, or what stands before it, answers to a refresh: what is made of it, and what is said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from grantkeeper.core.messages import Answer
from stories.scene import Scene

DUE = timedelta(minutes=45)
LAST_MINUTE = timedelta(minutes=14, seconds=30)
"""From then on until the access token is about to expire."""
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


def page(status: int) -> Answer:
    """A page for people."""
    return Answer(status=status, content_type="text/html", retry_after=None, body=b"<html>This was blocked.</html>", date=None)


@pytest.mark.parametrize("status", [302, 403, 404])
async def test_the_page_of_a_firewall_or_a_gateway_ends_no_consent(status: int) -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [page(status)] * 8
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1, "as long as the access token lives, nothing is risked"
    await scene.pass_time(LAST_MINUTE)
    for _ in range(6):
        await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == 8
    assert "or something in front of it, reports an error" in (await scene.condition("Fresh"))["message"]
    assert (await scene.condition("Authorized"))["reason"] == "Consented"
    scene.provider.answer = NEXT
    await scene.pass_time(timedelta(minutes=1))
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
