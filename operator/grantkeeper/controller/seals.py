"""Opening and sealing for one cluster: what `core.sealing` needs to know of the place is filled in here, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grantkeeper.core import sealing
from grantkeeper.core.keyring import Keyring
from grantkeeper.core.profiles import Profile
from grantkeeper.core.records import Sealed
from grantkeeper.core.requests import ConsentRequest
from grantkeeper.core.sealing import PROFILE, REQUEST, Context, DataKey
from grantkeeper.core.tokens import TokenSet, write_payload
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnectorSpec, UserGrant


@dataclass(frozen=True, slots=True)
class OpenedTokens:
    """A token set and its place in the life of the grant."""

    tokens: TokenSet
    generation: int


@dataclass(frozen=True, slots=True)
class Seals:
    """The keyring as it is now, and the cluster whose grants are sealed with it."""

    keyring: Callable[[], Keyring]
    cluster_uid: str

    def open_tokens(self, sealed: Sealed, spec: OAuthConnectorSpec) -> OpenedTokens | None:
        """The set that is held, None where there is none; Unsealable where it does not open here."""
        if sealed.tokenset is None:
            return None
        opened = sealing.open_sealed(sealed.tokenset, self._context(sealed.namespace, sealed.name, sealed.uid, spec), self.keyring())
        try:
            return OpenedTokens(TokenSet.model_validate_json(opened.payload), opened.generation)
        except ValueError:
            raise Unsealable("payload") from None

    def open_requests(self, sealed: Sealed, spec: OAuthConnectorSpec) -> tuple[ConsentRequest, ...]:
        """The requests that open here; one that does not was sealed for another client or key and can be answered no more."""
        context = self._context(sealed.namespace, sealed.name, sealed.uid, spec)
        opened: list[ConsentRequest] = []
        for text in sealed.requests:
            try:
                payload = sealing.open_sealed(text, context, self.keyring(), typ=REQUEST).payload
                opened.append(ConsentRequest.model_validate_json(payload))
            except (Unsealable, ValueError):
                continue
        return tuple(opened)

    def open_profile(self, sealed: Sealed, spec: OAuthConnectorSpec) -> Profile | None:
        """What is kept in the place of tokens, None where there is nothing; Unsealable where it does not open here."""
        if sealed.profile is None:
            return None
        context = self._context(sealed.namespace, sealed.name, sealed.uid, spec)
        try:
            return Profile.model_validate_json(sealing.open_sealed(sealed.profile, context, self.keyring(), typ=PROFILE).payload)
        except ValueError:
            raise Unsealable("payload") from None

    def prepare(self) -> DataKey:
        """A data key, wrapped: asked for before a token is spent, so that keeping its successor cannot fail for want of one."""
        return sealing.prepare(self.keyring())

    def seal_tokens(self, tokens: TokenSet, grant: UserGrant, spec: OAuthConnectorSpec, *, generation: int, key: DataKey) -> str:
        """The set as `tokenset` holds it."""
        return sealing.seal(write_payload(tokens), self._context_of(grant, spec), generation=generation, key=key)

    def seal_requests(
        self, requests: Sequence[ConsentRequest], grant: UserGrant, spec: OAuthConnectorSpec, *, generation: int
    ) -> tuple[str, ...]:
        """The requests as `requests` holds them, each under a key of its own."""
        context = self._context_of(grant, spec)
        return tuple(sealing.seal(write_payload(r), context, generation=generation, key=self.prepare(), typ=REQUEST) for r in requests)

    def seal_profile(self, profile: Profile, grant: UserGrant, spec: OAuthConnectorSpec, *, key: DataKey) -> str:
        """The profile as `profile` holds it, in the grant's generation: it is no token set, and counts as none."""
        context, generation = self._context_of(grant, spec), grant.metadata.generation
        return sealing.seal(write_payload(profile), context, generation=generation, key=key, typ=PROFILE)

    def _context_of(self, grant: UserGrant, spec: OAuthConnectorSpec) -> Context:
        return self._context(grant.metadata.namespace, grant.metadata.name, grant.metadata.uid, spec)

    def _context(self, namespace: str, name: str, uid: str, spec: OAuthConnectorSpec) -> Context:
        return Context(cluster=self.cluster_uid, namespace=namespace, name=name, uid=uid, connector_hash=sealing.hash_connector(spec))
