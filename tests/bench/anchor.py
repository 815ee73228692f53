"""What the figures stand beside: the same API server asked in the barest way, in a process of its own.

`python -m bench.anchor patch <report> <a second> <seconds> <pids>` patches Secrets at a rate: one aiohttp session, orjson, nothing else.
`python -m bench.anchor list <report>` lists what a controller lists, with the controller's own client, and keeps it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import time
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


async def patch(a_second: float, lasting: float, pids: list[int]) -> dict[str, Any]:
    """Patch Secrets at an even rate; CPU of this process and of each other one, and the seconds that each answer took."""
    credentials = _login().read()
    assert credentials.token is not None
    headers = {"Authorization": f"Bearer {credentials.token.get_secret_value()}"}
    secrets = f"{credentials.server}/api/v1/namespaces/{NAMESPACE}/secrets"
    round_trips: list[float] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=credentials.trust(), limit=32),
        headers=headers,
        json_serialize=lambda body: orjson.dumps(body).decode(),
    ) as session:

        async def send(number: int) -> None:
            token = base64.b64encode(access_token(Turn(number, 0)).encode()).decode()
            begun = time.monotonic()
            async with session.patch(
                f"{secrets}/anchor-{number % SECRETS_PATCHED}",
                data=orjson.dumps({"data": {"access_token": token}}),
                headers={"Content-Type": "application/merge-patch+json"},
            ) as response:
                response.raise_for_status()
                orjson.loads(await response.read())
            round_trips.append(time.monotonic() - begun)

        for number in range(SECRETS_PATCHED):
            body = {"metadata": {"name": f"anchor-{number}"}, "data": {}}
            async with session.post(secrets, json=body) as response:
                if response.status != 409:
                    response.raise_for_status()
        await send(0)
        round_trips.clear()
        before = [cpu.seconds(pid) for pid in (os.getpid(), *pids)]
        begun, sending = time.monotonic(), set()
        for number in range(int(a_second * lasting)):
            await asyncio.sleep(max(0.0, begun + number / a_second - time.monotonic()))
            sending.add(task := asyncio.create_task(send(number)))
            task.add_done_callback(sending.discard)
        await asyncio.gather(*sending)
        lasted = time.monotonic() - begun
        own, *others = (cpu.seconds(pid) - used for pid, used in zip((os.getpid(), *pids), before, strict=True))
    return {"own": own, "others": others, "lasted": lasted, "round_trips": round_trips}


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
    """Run one of the two, and leave its report."""
    what, report, *rest = arguments
    if what == "patch":
        found = asyncio.run(patch(float(rest[0]), float(rest[1]), [int(pid) for pid in rest[2:]]))
    else:
        found = asyncio.run(list_all())
    Path(report).write_bytes(orjson.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
