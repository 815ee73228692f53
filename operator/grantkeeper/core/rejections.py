"""A request that is rejected, though not for who makes it: a grant's own matter, until a second one meets with the same.

Any OAuth error may be about one grant: its scopes, its person's tenant, a rule that somebody made. If that stopped the others, one grant
could stop a connector for ever; if it never did, ten thousand would be asked for in vain, each for itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from grantkeeper.core import circuits
from grantkeeper.core.outcomes import REJECTED_WORDS
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem, Standing, note_answer, pass_on


def note_rejected(standing: Standing, error: str, now: datetime, *, uid: str, is_witness: bool) -> Standing:
    """The request of the grant `uid` was rejected, by the word `error`.

    It `is_witness` unless it was rejected when it was last tried, too, or is a code: what is wrong with one, or with how it was asked for,
    is no matter of those who have tokens. One witness proves nothing against the others, so a probe that shows this is passed on; the
    second in a row does.
    """
    standing = note_answer(standing, now)
    if not is_witness or standing.rejected_by == uid:
        return pass_on(standing, now)
    if not standing.rejected_by:
        return replace(pass_on(standing, now), rejected_by=uid)
    circuit = circuits.fail(standing.circuit, circuits.CLIENT, now)
    return replace(standing, noted=_describe(error), circuit=circuit, rejected_by=uid)


def _describe(error: str) -> Problem:
    named = f"the last time: {error}" if error in REJECTED_WORDS else "the controller's log names the error"
    return Problem(
        Reason.CLIENT_REJECTED,
        f"The authorization server rejects the requests of one grant after the other ({named}); correct what the client may do at the "
        "server, or spec.scopes. One grant at a time tries again.",
    )
