"""What the figures stand beside: the same API server asked in the barest way, in a process of its own.

`python -m bench.anchor patch <report> <a second> <seconds> <pids>` patches Secrets at a rate: one aiohttp session, orjson, nothing else.
`python -m bench.anchor refresh <report> <a second> <seconds> <url> <ca>` makes the calls of a refresh so: four patches, a request to a
server whose certificate <ca> has signed, and a watch that brings the patches back. What a refresh costs above that is what is decided,
sealed, kept and told.
`python -m bench.anchor list <report>` lists what a controller lists, with the controller's own client, and keeps it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench import cpu
from bench.tokens import Turn, access_token
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS, Cluster
from grantkeeper.adapters.login import Login
from grantkeeper.core.records import KIND_LABEL

NAMESPACE = "bench-anchor"
SECRETS_PATCHED = 50


@dataclass(frozen=True, slots=True)
class Patching:
    """A session that patches Secrets, and does nothing else."""

    session: aiohttp.ClientSession
    secrets: str

    async def send(self, number: int) -> None:
        """Patch one."""
        token = base64.b64encode(access_token(Turn(number, 0)).encode()).decode()
        async with self.session.patch(
            f"{self.secrets}/anchor-{number % SECRETS_PATCHED}",
            data=orjson.dumps({"data": {"access_token": token}}),
            headers={"Content-Type": "application/merge-patch+json"},
        ) as response:
            response.raise_for_status()
            orjson.loads(await response.read())

    async def watch(self) -> None:
        """Read what changes, until it is cancelled."""
        async with self.session.get(self.secrets, params={"watch": "true"}, timeout=aiohttp.ClientTimeout(total=None)) as response:
            async for line in response.content:
                orjson.loads(line)


@asynccontextmanager
async def patching() -> AsyncIterator[Patching]:
    """Log in, and make what is patched."""
    credentials = _login().read()
    assert credentials.token is not None
    secrets = f"{credentials.server}/api/v1/namespaces/{NAMESPACE}/secrets"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=credentials.trust(), limit=64),
        headers={"Authorization": f"Bearer {credentials.token.get_secret_value()}"},
        json_serialize=lambda body: orjson.dumps(body).decode(),
    ) as session:
        for number in range(SECRETS_PATCHED):
            async with session.post(secrets, json={"metadata": {"name": f"anchor-{number}"}, "data": {}}) as response:
                if response.status != 409:
                    response.raise_for_status()
        yield Patching(session, secrets)


async def patch(a_second: float, lasting: float, pids: list[int]) -> dict[str, Any]:
    """Patch Secrets at an even rate; CPU of this process and of each other one, and the seconds that each answer took."""
    round_trips: list[float] = []
    async with patching() as bare:

        async def send(number: int) -> None:
            begun = time.monotonic()
            await bare.send(number)
            round_trips.append(time.monotonic() - begun)

        await bare.send(0)
        before, begun = [cpu.seconds(pid) for pid in (os.getpid(), *pids)], time.monotonic()
        await _pace(send, a_second, lasting)
        lasted = time.monotonic() - begun
        own, *others = (cpu.seconds(pid) - used for pid, used in zip((os.getpid(), *pids), before, strict=True))
    return {"own": own, "others": others, "lasted": lasted, "round_trips": round_trips}


async def refresh(a_second: float, lasting: float, url: str, ca: str) -> dict[str, Any]:
    """Make the calls of a refresh at an even rate; CPU of this process for each."""
    server = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca))
    async with patching() as bare, aiohttp.ClientSession(connector=server) as asking:

        async def send(number: int) -> None:
            await bare.send(number)
            async with asking.get(url) as response:
                orjson.loads(await response.read())
            for _ in range(3):
                await bare.send(number)

        watching = asyncio.create_task(bare.watch())
        await send(0)
        used = cpu.seconds(os.getpid())
        number = await _pace(send, a_second, lasting)
        own = (cpu.seconds(os.getpid()) - used) / number
        watching.cancel()
    return {"own": own}


async def _pace(send: Callable[[int], Coroutine[Any, Any, None]], a_second: float, lasting: float) -> int:
    """Send at an even rate, however long each takes; how many were sent."""
    begun, sending, number = time.monotonic(), set[asyncio.Task[None]](), int(a_second * lasting)
    for n in range(number):
        await asyncio.sleep(max(0.0, begun + n / a_second - time.monotonic()))
        sending.add(task := asyncio.create_task(send(n)))
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)
    return number


async def list_all() -> dict[str, Any]:
    """List everything once; how long that took, how much it is as JSON, and what keeping it takes."""
    cluster = Cluster(_login())
    try:
        begun = time.monotonic()
        kept = [await cluster.list(SECRETS, labels=KIND_LABEL), await cluster.list(OAUTHCONNECTORS), await cluster.list(USERGRANTS)]
        lasted = time.monotonic() - begun
        resident = cpu.resident(os.getpid())
    finally:
        await cluster.close()
    return {
        "lasted": lasted,
        "resident": resident,
        "objects": sum(map(len, kept)),
        "bytes": sum(len(orjson.dumps(body)) for bodies in kept for body in bodies),
    }


def _login() -> Login:
    """As the kubeconfig says, also where the bench itself runs in a Pod."""
    return Login.find(Path("/nonexistent"), {"KUBECONFIG": os.environ["KUBECONFIG"]})


def main(arguments: list[str]) -> None:
    """Run one of them, and leave its report."""
    what, report, *rest = arguments
    if what == "patch":
        found = asyncio.run(patch(float(rest[0]), float(rest[1]), [int(pid) for pid in rest[2:]]))
    elif what == "refresh":
        found = asyncio.run(refresh(float(rest[0]), float(rest[1]), *rest[2:]))
    else:
        found = asyncio.run(list_all())
    Path(report).write_bytes(orjson.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
