"""Find out whose account has consented: from the ID token, and from userinfo where the ID token leaves open what has to be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from grantkeeper.adapters.provider import Provider
from grantkeeper.controller.keysets import KeySets
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.registry import Name
from grantkeeper.core.accounts import complete, is_enough, promises_more, read_userinfo
from grantkeeper.core.idtoken import IDTokenError, judge_id_token
from grantkeeper.core.oauth import Client, userinfo_request
from grantkeeper.core.outcomes import Granted
from grantkeeper.core.signatures import SigningKeys
from grantkeeper.core.tokens import IDClaims, TokenSet
from grantkeeper.errors import ProviderError
from grantkeeper.resources import ExpectedAccount

log = structlog.get_logger()

ANSWER_WITHIN = timedelta(seconds=5)
_KEYS_MAY_BE_OLD = {"unknown_key", "bad_signature"}


@dataclass(frozen=True, slots=True)
class Witness:
    """The server that is asked, and how it is reached."""

    connector: Name
    client: Client
    ca_bundle: bytes | None


@dataclass(frozen=True, slots=True)
class Identifier:
    """Tells one account at a time."""

    provider: Provider
    key_sets: KeySets
    clock: Callable[[], datetime]
    meter: Meter

    async def identify(self, granted: Granted, witness: Witness, *, nonce: str, expected: ExpectedAccount | None) -> IDClaims | None:
        """The account, None where the server names none; IDTokenError where what it says does not hold, or is not enough to judge by."""
        endpoints = witness.client.endpoints
        claims = await self._judge(granted, witness, nonce)
        is_open = not is_enough(claims, expected)
        is_worth_it = endpoints.issuer is None or promises_more(claims, granted.tokens.scopes)
        if endpoints.userinfo is None or not (is_open or is_worth_it):
            return claims
        told = await self._ask(granted.tokens, witness)
        if told is None:
            if is_open:
                raise IDTokenError("no_userinfo")
            return claims
        if claims is not None and told.sub != claims.sub:
            raise IDTokenError("other_subject")  # OpenID Connect Core section 5.3.2
        return complete(claims, told) if claims is not None else told

    async def _judge(self, granted: Granted, witness: Witness, nonce: str) -> IDClaims | None:
        """What the ID token says. Where there are no keys to check it with, it is as if there were none."""
        endpoints = witness.client.endpoints
        if granted.id_token is None or endpoints.issuer is None or endpoints.jwks is None:
            return None
        place = (witness.connector, endpoints.jwks, witness.ca_bundle)
        id_token, issuer = granted.id_token, endpoints.issuer

        def judge(keys: SigningKeys) -> IDClaims:
            return judge_id_token(
                id_token,
                keys,
                issuer=issuer,
                client_id=witness.client.client_id,
                nonce=nonce,
                access_token=granted.tokens.access_token,
                now=self.clock(),
            )

        try:
            keys = await self.key_sets.keys(*place)
            try:
                return judge(keys)
            except IDTokenError as error:
                if error.reason not in _KEYS_MAY_BE_OLD:
                    raise
            return judge(await self.key_sets.renew(*place, stale=keys))
        except IDTokenError:
            raise
        except ProviderError:
            raise IDTokenError("no_keys") from None

    async def _ask(self, tokens: TokenSet, witness: Witness) -> IDClaims | None:
        request = userinfo_request(witness.client, access_token=tokens.access_token)
        sending = self.provider.send(request, ca_bundle=witness.ca_bundle, timeout=ANSWER_WITHIN)
        try:
            answer = await self.meter.follow(witness.connector, "userinfo", sending)
        except ProviderError as error:
            log.warning("userinfo cannot be had", namespace=witness.connector[0], connector=witness.connector[1], error=str(error))
            return None
        return read_userinfo(answer, issuer=witness.client.endpoints.issuer)
