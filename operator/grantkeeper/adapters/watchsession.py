"""The session that a watcher is given: it watches, and where it would list, nothing is listed.

Each object of a list costs a watcher many times what it costs to read it, and everything is read here anyway. So a list is asked for
what nothing is called. It tells from which version on the watch brings what changes; whoever reads everything after that misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from grantkeeper.adapters.login import Credentials

NOTHING = "metadata.name=-"
"""A field selector that no object fits: none can have that name."""


def open_session(credentials: Credentials, on_list: Callable[[str], object]) -> aiohttp.ClientSession:
    """Open one for the running event loop. `on_list` takes the path of each list that was answered: what was before it is told by no watch.

    A list is what is asked for in chunks.
    """

    async def list_nothing(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if "limit" not in request.url.query:
            return await send(request)
        request.url = request.url.update_query(fieldSelector=NOTHING)
        response = await send(request)
        if response.ok:
            on_list(request.url.path)
        return response

    headers = {"Authorization": f"Bearer {credentials.token.get_secret_value()}"} if credentials.token is not None else {}
    connector = aiohttp.TCPConnector(limit=0, ssl=credentials.trust())
    return aiohttp.ClientSession(connector=connector, headers=headers, middlewares=(list_nothing,))
