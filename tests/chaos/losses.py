"""Grants that were lost, so that somebody had to consent again: each must have a cause, and all together what the model allows.

The model. A server that spends a refresh token gives its successor once. It is lost for certain where the answer is cut or comes too
late, where two answers in a row are lost though nothing was given, where a Pod goes with a journal that holds it, and where a
process stands still for longer than its claim. A kill loses what is in the window, from the server's work to the journal. Were kills
spread evenly over time, that would be, by Little's law, (refreshes a second) * (length of the window) for each kill of the leader. But
they come after so many refreshes, so more of them when much is in flight; so what counts is how many refreshes are in their windows
when another one is, on average over all refreshes:

    kills of the leader * mean, over the refreshes, of how many are in their windows at the moment when its answer is read

That is more than is lost, by half in most storms: a kill comes up to half a second after that moment. Each window ends when the answer has
been read and sealed and is on the disk; the last part is measured at the journals of the killed. A kill that is aimed at a step in the
window loses one more. What is over the 99.9th percentile of all that is too much.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from statistics import fmean

from chaos.archive import REFRESH, Archive, Cause, by_grant
from chaos.evidence import Call, Fate, Kind
from chaos.rules import Breach, tell

UNEXPLAINED = "a grant lost without a cause"
IN_THE_WINDOW = ("refresh.sent", "refresh.answered", "refresh.sealed")
SEALING = 0.02
"""Seconds from an answer that was read to the journal, where none was found to tell."""
AT_MOST = 5.0
"""Seconds: what takes longer was not running."""
PERCENTILE = 0.999


@dataclass(slots=True)
class Losses:
    """What was lost, and what may have been."""

    causes: Counter[Cause] = field(default_factory=Counter)
    breaches: list[Breach] = field(default_factory=list)
    expected: float = 0.0
    """By kills, on average."""
    window: float = 0.0
    """Seconds."""
    ends: dict[str, float] = field(default_factory=dict)
    """From when on the consent of each lost account was of no use."""

    @property
    def number(self) -> int:
        """All that were lost."""
        return sum(self.causes.values()) + len(self.breaches)

    @property
    def certain(self) -> int:
        """What was lost by something that always costs a consent."""
        return sum(number for cause, number in self.causes.items() if cause is not Cause.KILLED)

    @property
    def bound(self) -> int:
        """The most that may be lost."""
        return self.certain + poisson_quantile(self.expected, PERCENTILE)


def find_losses(archive: Archive) -> Losses:
    """Look at every consent that another one followed."""
    losses, calls = Losses(), archive.evidence.calls
    last_gift, tokens = dict[str, Call](), {copy.access_token for copy in archive.evidence.copies}
    held = {gift.account for token, gift in archive.gifts.items() if token in tokens}
    for call in sorted(calls, key=lambda call: call.arrived_at):
        if call.gave:
            last_gift[call.account] = call
    for accounts in by_grant(calls).values():
        for account in accounts[:-1]:
            if account in held:
                _judge_loss(archive, losses, last_gift[account])
    losses.window, losses.expected = _model(archive)
    return losses


def _judge_loss(archive: Archive, losses: Losses, gift: Call) -> None:
    """`gift` was the last thing that the account was given."""
    held = gift.refresh_token or ""
    if not archive.claims[held] and not archive.calls[held]:
        cause, end = (archive.explain(gift) if gift.grant_type == REFRESH else None), gift.arrived_at
    else:
        refused = any(call.error for call in archive.calls[held])
        cause, end = (None if refused or len(archive.claims[held]) < 2 else Cause.SPENT), gift.expires_at or gift.arrived_at
    losses.ends[gift.account] = end
    if cause is not None:
        losses.causes[cause] += 1
        return
    since = gift.arrived_at
    later = [tell(call, since) for call in (*archive.calls[gift.presented], *archive.calls[held])]
    losses.breaches.append(Breach(UNEXPLAINED, f"{gift.account}: {'; '.join(later)}"))


def _model(archive: Archive) -> tuple[float, float]:
    """The window in seconds, and how many grants kills lose on average."""
    given = [call for call in archive.evidence.calls if call.grant_type == REFRESH and call.gave and call.fate == Fate.ANSWERED]
    if not given:
        return 0.0, 0.0
    read_at = {call.presented: call.ended_at for call in given if call.ended_at is not None}
    reading = [span for call in given if call.ended_at is not None and (span := call.ended_at - call.arrived_at) < AT_MOST]
    kills = [mishap for mishap in archive.evidence.mishaps if mishap.kind is Kind.KILL]
    entries = [entry for kill in kills for entry in kill.journal if entry.presented in read_at]
    sealing = [span for entry in entries if 0 <= (span := entry.written_at - read_at[entry.presented]) < AT_MOST]
    window = fmean(reading) + (fmean(sealing) if sealing else SEALING)
    aimed = sum(kill.step.startswith(IN_THE_WINDOW) for kill in kills)
    return window, aimed + sum(kill.led for kill in kills) * count_beside(given, fmean(sealing) if sealing else SEALING)


def count_beside(calls: list[Call], sealing: float) -> float:
    """How many refreshes are in their windows when one has been read, on average over all; itself not counted."""
    begun = sorted(call.arrived_at for call in calls)
    over = sorted(min(call.ended_at or call.answered_at or call.arrived_at, call.arrived_at + AT_MOST) + sealing for call in calls)
    moments = [call.ended_at for call in calls if call.ended_at is not None]
    return fmean(bisect_right(begun, moment) - bisect_right(over, moment) - 1 for moment in moments)


def poisson_quantile(mean: float, share: float) -> int:
    """The smallest number that is exceeded with no more than the rest of probability."""
    if mean > 500:  # the sum below would run out of digits
        return math.ceil(mean + 3.1 * math.sqrt(mean))
    term = total = math.exp(-mean)
    number = 0
    while total < share:
        number += 1
        term *= mean / number
        total += term
    return number
