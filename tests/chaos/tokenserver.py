"""A scripted authorization server in a process of its own: https, cheap, and with a ledger of all that was presented to it.

`python -m chaos.tokenserver <certificate> <key> <port> <control port>`. It takes any number of clients at once; each consent says when
it is made how it is to be treated (`POST /control/codes`), so that one server plays all of them. What happens to requests on their way
is told by `PUT /control/weather`; `GET /control/calls/<since>` tells what became of each. The control port answers whatever the weather.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from chaos.evidence import Fate
from chaos.families import Book, Family, Manner, Reply, sha256
from chaos.weather import Deed, Odds, Weather
from parts.conversation import Conversation, write

_READ_WITHIN = 180.0
"""Seconds after which a connection is ended whose peer neither reads nor goes."""
_TORN_AFTER = 0.05
_KEPT = 3
"""One answer of so many lets another request follow over its connection."""


@dataclass(slots=True)
class House:
    """What all conversations share."""

    book: Book = field(default_factory=Book)
    weather: Weather = field(default_factory=Weather)
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Token requests whose connection has ended, or has brought another request; in that order."""
    open: dict[int, dict[str, Any]] = field(default_factory=dict)
    """And the others, by an id of their connection's."""
    away_until: float = 0.0
    """Until when new connections are reset, by the monotonic clock."""
    refuse: Callable[[float], object] = lambda _: None
    """Accept no connection for so many seconds."""
    answers: int = 0
    """To token requests."""

    def change(self, told: str, value: list[str], body: str) -> None:
        """Do as one is told from now on."""
        match told, value:
            case "weather", []:
                said = json.loads(body)
                self.weather = Weather(Odds(**said["odds"]), said["seed"])
            case "lifetime", [seconds]:
                self.book.lifetime = int(seconds)
            case "away", [seconds]:
                self.away_until = time.monotonic() + float(seconds)
            case "refusing", [seconds]:
                self.refuse(float(seconds))

    def tell(self, since: int) -> dict[str, Any]:
        """What became of token requests after the first `since`; those that are not over yet beside them."""
        return {"calls": self.calls[since:], "open": list(self.open.values())}


class Answering(Conversation):
    """One connection."""

    def __init__(self, house: House, *, is_control: bool = False) -> None:
        super().__init__()
        self._house = house
        self._is_control = is_control
        self._call: dict[str, Any] | None = None
        self._is_kept = False
        """Whether its answer has let another request follow: when it was read is not known then."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done, and may be all."""
        super().connection_made(transport)
        if not self._is_control and time.monotonic() < self._house.away_until:
            self.transport.abort()

    def hear(self, method: str, path: list[str], headers: dict[str, str], body: str) -> None:
        """Answer, as the weather has it."""
        self._put_on_record()
        if (method, path) == ("POST", ["token"]):
            self._befall(_form(body))
        else:
            self._reply(self._answer(method, path, headers, body))

    def connection_lost(self, error: Exception | None) -> None:
        """The peer is gone, or we have ended it."""
        if self._call is None:
            return
        if not self._is_kept or error is not None:
            self._call["ended_at"] = time.time()
        if self._call["fate"] == Fate.ANSWERED and self._call["answered_at"] is None:
            self._call["fate"] = Fate.LATE
        self._put_on_record()

    def _put_on_record(self) -> None:
        if self._call is not None:
            self._house.calls.append(self._house.open.pop(id(self)))
            self._call = None

    def _befall(self, form: dict[str, str]) -> None:
        """A token request, and what happens to it on its way."""
        now, befallen, book = time.time(), self._house.weather.draw(), self._house.book
        grant_type = form.get("grant_type", "")
        given = form.get("code" if grant_type == "authorization_code" else "refresh_token", "")
        call: dict[str, Any] = {
            "account": book.account_of_given(given),
            "grant_type": grant_type,
            "presented": sha256(given),
            "arrived_at": now,
            "fate": Fate.ANSWERED,
            "was_spent": book.is_spent(given),
            "was_kept": self._is_kept,
            **dict.fromkeys(("error", "access_token", "refresh_token", "expires_at", "answered_at", "ended_at")),
        }
        self._call, self._is_kept = call, False
        self._house.open[id(self)] = call
        if befallen.deed is Deed.DROP:
            call["fate"] = Fate.DROPPED
            self.transport.abort()
            return
        reply = book.present(form, now)
        call["error"] = reply.members.get("error")
        if reply.members.get("access_token"):
            call |= {name: sha256(reply.members[name]) for name in ("access_token", "refresh_token") if name in reply.members}
            call["expires_at"] = now + reply.members["expires_in"]
        loop = asyncio.get_running_loop()
        match Deed.CUT if reply.is_cut else befallen.deed:
            case Deed.CUT:
                call["fate"] = Fate.CUT
                self.transport.abort()
            case Deed.TEAR:
                call["fate"] = Fate.CUT
                whole = write(reply.status, _json(reply), is_last=True)
                self.transport.write(whole[: len(whole) // 2])
                loop.call_later(_TORN_AFTER, self.transport.abort)
            case Deed.DELAY:
                loop.call_later(befallen.seconds, self._reply, reply)
            case _:
                self._reply(reply)

    def _answer(self, method: str, path: list[str], headers: dict[str, str], body: str) -> Reply:
        now, book = time.time(), self._house.book
        match method, path:
            case "POST", ["revoke"]:
                book.revoke(_form(body).get("token", ""))
                return Reply(200, {})
            case "POST", ["introspect"]:
                return Reply(200, {"active": book.is_active(_form(body).get("token", ""), now)})
            case "GET", ["userinfo"]:
                account = book.account_of(headers.get("authorization", "").removeprefix("Bearer "), now)
                return Reply(200, {"sub": account}) if account else Reply(401, {"error": "invalid_token"})
            case _, ["control", *what] if self._is_control:
                return self._obey(method, what, body)
        return Reply(404, {})

    def _obey(self, method: str, what: list[str], body: str) -> Reply:
        """What only tests ask for."""
        house = self._house
        match method, what:
            case "POST", ["codes"]:
                return Reply(200, {"code": house.book.issue_code(_family(json.loads(body)))})
            case "PUT", [told, *value]:
                house.change(told, value, body)
                return Reply(200, {})
            case "GET", ["calls", since]:
                return Reply(200, house.tell(int(since)))
            case "GET", ["ledger", since]:
                return Reply(200, {"entries": house.book.entries[int(since) :]})
            case "GET", ["accounts", account]:
                entries = [entry for entry in house.book.entries if entry.account == unquote(account)]
                return Reply(200, {"entries": entries, "ended": house.book.is_ended(unquote(account))})
        return Reply(404, {})

    def _reply(self, reply: Reply) -> None:
        """Answer. Whoever made a token request ends the connection, mostly, so that the ledger knows when the answer had been read."""
        if self.transport.is_closing():
            return
        if self._call is None:
            self.send(reply.status, _json(reply), is_last=True)
            return
        self._house.answers += 1
        self._is_kept = self._house.answers % _KEPT == 0
        self._call["answered_at"] = time.time()
        self.transport.write(write(reply.status, _json(reply), is_last=not self._is_kept))
        if self._is_kept:
            self.go_on()
        else:
            asyncio.get_running_loop().call_later(_READ_WITHIN, self.transport.abort)


def _json(reply: Reply) -> bytes:
    return json.dumps(reply.members).encode()


def _form(body: str) -> dict[str, str]:
    return dict(parse_qsl(body))


def _family(said: dict[str, Any]) -> Family:
    return Family(**{**said, "manner": Manner(said["manner"])})


async def serve(certificate: Path, key: Path, port: int, control_port: int) -> None:
    """Serve on loopback until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    house, loop, refusing = House(), asyncio.get_running_loop(), set[asyncio.Task[None]]()

    async def listen(at: int, *, is_control: bool) -> asyncio.Server:
        return await loop.create_server(lambda: Answering(house, is_control=is_control), "127.0.0.1", at, ssl=context)

    server = await listen(port, is_control=False)

    async def refuse(seconds: float) -> None:
        nonlocal server
        server.close()
        await asyncio.sleep(seconds)
        server = await listen(port, is_control=False)

    def begin_refusing(seconds: float) -> None:
        if not refusing:
            refusing.add(task := loop.create_task(refuse(seconds)))
            task.add_done_callback(refusing.discard)

    house.refuse = begin_refusing
    await (await listen(control_port, is_control=True)).serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
