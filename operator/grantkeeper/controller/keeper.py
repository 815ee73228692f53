"""Keep one grant: gather the facts, plan, take one step, look again; then report, and sleep until the plan says to wake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from grantkeeper.adapters.cluster import USERGRANTS, Cluster
from grantkeeper.controller.announcing import Announcer
from grantkeeper.controller.committing import Committer
from grantkeeper.controller.delivering import Deliverer
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.gathering import Gathered, Gatherer
from grantkeeper.controller.pacing import Lane, Pacer
from grantkeeper.controller.redeeming import Redeemer
from grantkeeper.controller.refreshing import Refresher
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.releasing import Releaser
from grantkeeper.controller.requesting import Asker
from grantkeeper.core.conditions import find_turn
from grantkeeper.core.planning import Act, Plan, Step, find_steps, needs_turn, plan
from grantkeeper.core.reasons import Reason
from grantkeeper.core.refreshing import rank_of_refresh
from grantkeeper.core.reporting import describe_grant, patch_status
from grantkeeper.errors import Conflict, GrantkeeperError, NotFound
from grantkeeper.failpoints import reach
from grantkeeper.resources import UserGrant

log = structlog.get_logger()

TRIES_A_PASS = 2
"""A step that met a newer version is taken once more at once; one that is still wanted then waits."""
STEPS_A_PASS = 24
"""More than any grant needs; a pass that takes more is going in circles."""
FEW = 64
"""Grants whose opened sets are kept between two passes, for a second at most."""
SOON = timedelta(seconds=1)
"""Most turns come sooner, and nothing of that wait is worth telling."""
LOOK_AGAIN = timedelta(seconds=5)
RESTORED = (
    "The sealed tokens are of generation {now}, and status knew generation {was}: they were restored from a backup. Their refresh token "
    "may be spent; it is presented all the same, and if the server refuses it, the person has to consent again."
)
AS_WANTED = frozenset({Reason.AWAITING_CONSENT, Reason.SUSPENDED, Reason.TOKENS_NOT_KEPT})
"""Reasons that are no fault: nobody has answered yet, or somebody wants it so."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps grants, one pass at a time for each."""

    registry: Registry
    cluster: Cluster
    gatherer: Gatherer
    committer: Committer
    asker: Asker
    redeemer: Redeemer
    refresher: Refresher
    deliverer: Deliverer
    releaser: Releaser
    finalizers: Finalizers
    announcer: Announcer
    pacer: Pacer
    external_url: str
    clock: Callable[[], datetime]
    in_line: dict[str, Gathered] = field(default_factory=dict)
    """What was gathered of a few whose turn may come soon, by uid: it still holds then, as far as nothing has changed."""

    async def keep(self, uid: str) -> datetime | None:
        """Bring one grant to what its spec asks, and say when to look again."""
        taken: Counter[Step] = Counter()
        gathered = self.in_line.pop(uid, None)
        is_said = False
        while (grant := self.registry.grants.get(uid)) is not None:
            gathered = self.gatherer.gather(grant, self.clock(), gathered)
            if await self._seek_holder(gathered):
                continue
            steps = find_steps(gathered.facts)
            if _is_restored(gathered) and not is_said:
                is_said = True  # before anything is presented
                if not await self._report(gathered, plan(gathered.facts, steps)):
                    return self.clock()
                continue
            step = next((step for step in steps if taken[step] < TRIES_A_PASS), None)
            if step is None or taken.total() >= STEPS_A_PASS:
                decided = plan(gathered.facts, steps)
                if not needs_turn(gathered.facts, steps):
                    self.pacer.leave(uid)
                return self._wake_at(decided) if await self._report(gathered, decided) else self.clock()
            taken[step] += 1
            try:
                if not await self._take(step, gathered) and steps == (step,):
                    if len(self.in_line) < FEW:
                        self.in_line[uid] = gathered
                    return self.clock() + SOON
            except GrantkeeperError as error:
                log.warning("a step failed", act=step.act.name.lower(), grant=uid, error=str(error))
                taken[step] = TRIES_A_PASS
        self.pacer.leave(uid)
        await self.committer.store_left(uid)
        await self.releaser.end_late(uid)
        return None

    def find_late(self) -> list[str]:
        """The uids of grants for which something came that is not dealt with yet, though they may be gone."""
        return [*self.registry.aside.uids, *(gain.uid for gain in self.committer.left.values())]

    async def _seek_holder(self, gathered: Gathered) -> bool:
        """Whether another's claim has just turned out to keep us away from nothing, so that the facts are others."""
        claim = gathered.sealed.claim if gathered.sealed else None
        if claim is None or not gathered.facts.is_hurried or gathered.facts.claim_respected_until is None:
            return False
        return await self.gatherer.respect.seek(claim)

    async def _take(self, step: Step, gathered: Gathered) -> bool:
        """Take a step; False where it has to wait for its turn."""
        match step.act:
            case Act.STORE:
                await self.committer.store_left(gathered.grant.metadata.uid)
            case Act.RELEASE:
                return await self._in_turn(self.releaser.release, gathered, Lane.REVOCATION)
            case Act.SETTLE:
                await self.redeemer.settle(gathered)
            case Act.REDEEM:
                answer = self.registry.answers_to(gathered.grant).get(step.subject)
                if answer is not None:
                    await self.redeemer.redeem(gathered, answer)
            case Act.ASK:
                await self.asker.ask(gathered)
            case Act.REFRESH:
                return await self._in_turn(self.refresher.refresh, gathered)
            case Act.WITHDRAW:
                await self.deliverer.withdraw(gathered, step.subject)
            case Act.DELIVER:
                await self.deliverer.deliver(gathered, step.subject)
        return True

    async def _in_turn(self, act: Callable[[Gathered], Awaitable[None]], gathered: Gathered, lane: Lane = Lane.TOKEN) -> bool:
        """Do it if its turn at the server has come, and say whether; otherwise the grant is woken when it comes."""
        grant = gathered.grant
        with self.pacer.turn(grant.connector_name, grant.metadata.uid, rank_of_refresh(gathered.facts), lane) as has_come:
            if has_come:
                await act(gathered)
            return has_come

    def _wake_at(self, decided: Plan) -> datetime | None:
        """A step that was taken and is still wanted did not succeed: it is tried again, but not at once."""
        soon = self.clock() + LOOK_AGAIN if decided.steps else None
        return min((moment for moment in (decided.wake_at, soon) if moment is not None), default=None)

    async def _report(self, gathered: Gathered, decided: Plan) -> bool:
        """Say what holds; False where the grant has changed meanwhile and has to be judged again."""
        grant, metadata = gathered.grant, gathered.grant.metadata
        root = f"{self.external_url}/consent/{metadata.namespace}/{metadata.name}"
        desired = describe_grant(grant, gathered.facts, decided, gathered.sealed, gathered.requests, link_root=root)
        patch = patch_status(grant.status, desired, metadata.resource_version)
        if patch is None:
            return True
        was = grant.status.token_generation or 0
        if was > (desired.token_generation or 0) and not await self._knows_best(gathered):
            return False
        reach("report.writing")
        try:
            body = await self.cluster.patch(USERGRANTS, metadata.namespace, metadata.name, patch, subresource="status")
        except Conflict:
            await self.finalizers.reread(grant)
            return False
        except NotFound:
            return True
        reach("report.written")
        self.registry.note_grant(body)
        if _is_restored(gathered):
            await self.announcer.announce(grant, "TokensRestored", RESTORED.format(now=desired.token_generation, was=was), is_warning=True)
        await self._announce(grant, decided)
        return True

    async def _knows_best(self, gathered: Gathered) -> bool:
        """A status that shows a later generation than we know is another leader's, or outlived a restore: what is stored decides."""
        return await self.deliverer.vault.confirms(gathered.grant.metadata.uid, gathered.sealed)

    async def _announce(self, grant: UserGrant, decided: Plan) -> None:
        """Say it once when `Ready` turns, or its reason changes, and when the end of a refresh token comes near."""
        said = {condition.type: condition for condition in grant.status.conditions}
        if decided.notice and ("Fresh" not in said or decided.notice not in said["Fresh"].message):
            await self.announcer.announce(grant, "RefreshTokenExpires", decided.notice, is_warning=True)
        if decided.aside and ("Authorized" not in said or decided.aside not in said["Authorized"].message):
            await self.announcer.announce(grant, "KeptAside", decided.aside, is_warning=True)
        if (ready := find_turn(grant.status.conditions, decided.verdicts)) is not None:
            message, is_warning = ready.message or "A fresh access token is delivered.", not ready.holds and ready.reason not in AS_WANTED
            await self.announcer.announce(grant, ready.reason, message, is_warning=is_warning)


def _is_restored(gathered: Gathered) -> bool:
    """Whether the set that is held is older than one that was reported: it was restored from a backup, if nobody knows better."""
    meta = gathered.sealed.meta if gathered.sealed and gathered.facts.holding else None
    return meta is not None and (gathered.grant.status.token_generation or 0) > meta.generation
