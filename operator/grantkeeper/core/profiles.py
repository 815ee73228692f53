"""What is kept in the place of tokens, where a connector keeps none: whose account was connected, and with which scopes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from grantkeeper.core.tokens import IDClaims, Moment


class Profile(BaseModel):
    """One consent whose tokens were thrown away, as it is sealed: personal data, and no secret of anybody's."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    account: IDClaims | None = None
    """None where the server does not tell whose account it is."""
    scope: str | None = None
    """The granted scopes, separated by spaces; None where the server never named any."""
    recorded_at: Moment
    revoked: bool
    """Whether the server took the revocation of the tokens."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, sorted."""
        return tuple(sorted(set((self.scope or "").split())))
