"""kopf watches, and does nothing else: its events go to the registry's loop, and it keeps no state anywhere.

It lists nothing, for a sweep does that for a fraction of what it costs kopf: what a list would have told it, a sweep that follows finds.

It runs in a thread and a loop of its own, because it cancels every task of its loop when it ends. It may end: a watch that is
refused, or that fails in a way it does not know, stops it. Then what is in flight is finished, and everything begins again.

How it ends is not left to kopf. One watch that fails leaves the others to themselves, which then wait for a login that never comes; and
one whose time-out falls into the moment of an event goes without a word. So the end is told as soon as it begins, and a watch that
shows no sign of life is one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
import structlog
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from grantkeeper.adapters import looping
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.adapters.login import Login
from grantkeeper.adapters.watchsession import Known, open_session
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.resources import GROUP

log = structlog.get_logger()

Event = Callable[[str, str | None, dict[str, Any]], None]
"""Takes a plural, an event type (None for what was there already) and the object."""

LOGIN_LASTS = timedelta(minutes=10)
"""How long a token is used before its file is read again; kubelet renews it long before it runs out."""
LOGIN_AGAIN_AFTER = 1.0
"""Seconds, where its files cannot be read; without being told kopf would wait a minute, and hear nothing."""
LIVES_WITHIN = 75.0
"""Seconds within which each watch brings something or is asked for anew: kopf's time-outs and pauses make that 35, and an API server that
asks to be left alone may double it."""
CANCEL_AGAIN_AFTER = 0.5
"""Seconds, while kopf ends."""
UNUSED_FINALIZER = f"{GROUP}/no-such-finalizer"
"""kopf removes a finalizer of its configured name from objects that it has no deletion handler for; nothing bears this one."""


CLUSTER_WIDE = (USERGRANTS, OAUTHCONNECTORS, NAMESPACES)
"""What is watched everywhere, whichever namespaces are kept."""
EVERYTHING = (*CLUSTER_WIDE, SECRETS)


class NoDiffBase(kopf.DiffBaseStorage):
    """What kopf would compare an object with. It copies every object for that, and what is in it, and nobody here asks for a difference."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        """Nothing of an object is worth comparing."""
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored."""


class NoMemories(ResourceMemories):
    """What kopf would remember of every object, for timers and daemons: here there are none, and it would be 1.7 KB for each."""

    async def recall(self, raw_body: kopf.RawBody, **known: Any) -> ResourceMemory:  # noqa: ANN401  # kopf's own signature
        """Remember it for this event alone."""
        return await super().recall(raw_body, **{**known, "ephemeral": True})


@dataclass(slots=True)
class Watcher:
    """The watches on some kinds, in some namespaces or, where none is named, everywhere; of Secrets, on those of ours.

    `login` gives the connection, and gives it anew when asked. `on_list` takes the path of what is watched from now on: what changed
    before has to be read. `on_end` is told when they begin to end, and again, with `on_over`, when nothing is left of them.
    """

    login: Login
    on_event: Event
    is_known: Known
    """Asked in the thread of the watches: most of what they bring only repeats our own writes, and shall wake nobody."""
    on_list: Callable[[str], None]
    on_end: Callable[[], None]
    on_over: Callable[[], None]
    kinds: Collection[Kind] = EVERYTHING
    namespaces: Collection[str] = ()
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _tell: Callable[[], object] = lambda: None
    """Tells kopf that it has been asked to stop, once it runs."""
    _lived: dict[str, float] = field(default_factory=dict)
    """When each watch last showed a sign of life, by its path and the clock of its loop."""

    @property
    def lists(self) -> int:
        """How many lists stand before its watches."""
        return len(self.kinds) * max(1, len(self.namespaces))

    def start(self) -> None:
        """Begin to watch; events and the end are told to the loop that calls this."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="watching", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the watches to end."""
        self._stop.set()
        with suppress(RuntimeError):  # they have ended by themselves
            self._tell()

    def _run(self, home: asyncio.AbstractEventLoop) -> None:
        registry = kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        _tune(settings)
        self._register(registry, home)
        # It warns that it hears no signals in a thread, which is why it is in one.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        try:
            looping.run(self._watch(registry, settings, home))
        except Exception as error:  # noqa: BLE001  # whatever ends it, the process ends in order
            log.error("the watches ended", error=type(error).__name__)  # noqa: TRY400  # a traceback of kopf's says no more
        finally:
            for tell in (self.on_end, self.on_over):
                home.call_soon_threadsafe(tell)

    async def _watch(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, home: asyncio.AbstractEventLoop) -> None:
        """Watch until asked to stop. The flag is of this loop: one that a thread waits for keeps the loop from ending when kopf fails."""
        loop, flag = asyncio.get_running_loop(), asyncio.Event()
        self._tell = lambda: loop.call_soon_threadsafe(flag.set)
        if self._stop.is_set():
            flag.set()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            memories=NoMemories(),
            standalone=True,
            stop_flag=flag,
            priority=0,
        )
        silence = asyncio.create_task(self._await_silence())
        await asyncio.wait((*tasks, silence), return_when=asyncio.FIRST_COMPLETED)
        home.call_soon_threadsafe(self.on_end)
        silence.cancel()
        was_asked = flag.is_set()
        flag.set()
        await _end(tasks, was_asked=was_asked)

    async def _await_silence(self) -> None:
        """Return when one of the watches is dead."""
        clock, dead = asyncio.get_running_loop().time, list[str]()
        began_at = clock()
        while not dead:
            await asyncio.sleep(LIVES_WITHIN / 10)
            missing = {"not begun": began_at} if len(self._lived) < self.lists else {}
            dead = [path for path, lived_at in (self._lived | missing).items() if clock() - lived_at > LIVES_WITHIN]
        log.error("a watch shows no sign of life: all of them begin anew", watches=sorted(dead))

    def _note_life(self, path: str) -> None:
        self._lived[path] = asyncio.get_running_loop().time()

    def _register(self, registry: kopf.OperatorRegistry, home: asyncio.AbstractEventLoop) -> None:
        @kopf.on.login(registry=registry, backoff=LOGIN_AGAIN_AFTER)
        async def connect(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401  # kopf's own signature
            credentials = self.login.read()
            return kopf.AiohttpSession(
                server=credentials.server,
                aiohttp_session=open_session(
                    credentials, lambda path: home.call_soon_threadsafe(self.on_list, path), self.is_known, self._note_life
                ),
                expiration=datetime.now(UTC) + LOGIN_LASTS,
            )

        def hand_over(plural: str) -> Callable[..., Awaitable[None]]:
            async def on_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's own signature
                body = dict(event["object"])
                if event["type"] == "DELETED" or not self.is_known(plural, body):  # it may be known by now
                    home.call_soon_threadsafe(self.on_event, plural, event["type"], body)

            return on_event

        for kind in self.kinds:
            group, _, version = kind.api.removeprefix("apis/").removeprefix("api/").rpartition("/")
            kopf.on.event(group, version, kind.plural, registry=registry)(hand_over(kind.plural))


async def _end(tasks: Collection[asyncio.Task[Any]], *, was_asked: bool) -> None:
    """Let kopf end what it began; raises what made it end. Asked to, it does that in order.

    Else the watches that did not fail would be left to themselves. So all that its own tasks have begun is cancelled: at once, while they
    still have a login, and then again and again, for a watch may take that for a pause.
    """
    us, patience = asyncio.current_task(), CANCEL_AGAIN_AFTER if was_asked else 0.0
    ending = asyncio.create_task(kopf.run_tasks(tasks, ignored=[us] if us is not None else []))
    while not (await asyncio.wait((ending,), timeout=patience))[0]:
        for task in asyncio.all_tasks() - {us, ending, *tasks}:
            task.cancel()
        patience = CANCEL_AGAIN_AFTER
    ending.result()


def _tune(settings: kopf.OperatorSettings) -> None:
    settings.persistence.finalizer = UNUSED_FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # The server ends each watch, and says shortly before how far it has come: one that falls silent is known by that, and made anew.
    settings.watching.server_timeout = 20
    settings.watching.inactivity_timeout = 25
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = 500  # what is asked for in chunks is a list to `open_session`, and stays empty
    settings.watching.label_selectors["secrets"] = KIND_LABEL  # the plural; another spelling filters nothing, silently
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 30
    # kopf's own pauses grow to 21 s: after an outage of the API server it would sleep on, and nothing new would be heard of.
    settings.networking.error_backoffs = (1, 1, 2, 3, *(5,) * 9)
    settings.networking.connect_timeout = 5
