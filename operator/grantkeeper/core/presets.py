"""A preset and a connector: how this server is dealt with.

What a connector says itself wins over its preset; what neither says is as the standards have it. Sealed sets are bound to the spec
alone (`sealing.hash_connector`), so no edit of a preset can unseal one. For the same reason nothing here may be sealed by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from grantkeeper.choices import PKCE, ClientAuthentication, ScopeSeparator
from grantkeeper.core.catalogue import Preset, fill
from grantkeeper.core.metadata import Endpoints, MetadataError
from grantkeeper.core.oauth import Client
from grantkeeper.core.reasons import Reason
from grantkeeper.resources import EndpointsSpec, OAuthConnectorSpec

_IMMUTABLE = "It cannot be changed: delete this connector and create it anew."


class UnknownProvider(MetadataError):
    """The connector's provider and parameters name no server; the message says which there are."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.UNKNOWN_PROVIDER, message)


@dataclass(frozen=True, slots=True)
class Habits:
    """How one server is dealt with: everything that a preset may supply. It has an issuer or endpoints."""

    issuer: str | None
    endpoints: EndpointsSpec | None
    client_authentication: ClientAuthentication = ClientAuthentication.BASIC
    pkce: PKCE = PKCE.S256
    scope_separator: ScopeSeparator = ScopeSeparator.SPACE
    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    token_parameters: Mapping[str, str] = field(default_factory=dict)
    display_name: str | None = None
    scope_descriptions: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()

    def as_client(self, client_id: str, endpoints: Endpoints, secrets: tuple[SecretStr | None, SecretStr | None]) -> Client:
        """A client of it; of its two secrets the first is tried first."""
        secret, other_secret = secrets
        return Client(
            client_id=client_id,
            authentication=self.client_authentication,
            secret=secret,
            other_secret=other_secret,
            endpoints=endpoints,
            pkce=self.pkce is PKCE.S256,
            scope_separator=self.scope_separator.character,
            authorization_parameters=self.authorization_parameters,
            token_parameters=self.token_parameters,
            refusals=self.refusals,
        )


def find_habits(spec: OAuthConnectorSpec, presets: Mapping[str, Preset]) -> Habits:
    """The habits of a connector's server; UnknownProvider where there is no such preset, or the parameters do not fit it."""
    if spec.provider is None:
        return _override(Habits(spec.issuer, spec.endpoints), spec)
    preset = presets.get(spec.provider)
    if preset is None:
        there_are = ", ".join(sorted(presets)) or "none"
        raise UnknownProvider(
            f"spec.provider {spec.provider} names no preset of this release; there are {there_are}. {_IMMUTABLE} "
            "A server without a preset is named by spec.issuer or spec.endpoints."
        )
    return _override(_read(preset, _read_parameters(spec, preset)), spec)


def _override(known: Habits, spec: OAuthConnectorSpec) -> Habits:
    """What the connector says wins, in objects member by member."""
    is_public = spec.client_authentication is ClientAuthentication.NONE
    return replace(
        known,
        client_authentication=spec.client_authentication or known.client_authentication,
        pkce=spec.pkce or (PKCE.S256 if is_public else known.pkce),  # a public client has nothing else to prove itself by
        scope_separator=spec.scope_separator or known.scope_separator,
        authorization_parameters={**known.authorization_parameters, **spec.authorization_parameters},
        token_parameters={**known.token_parameters, **spec.token_parameters},
        display_name=spec.consent.display_name or known.display_name,
        scope_descriptions={**known.scope_descriptions, **spec.consent.scope_descriptions},
    )


def _read(preset: Preset, values: Mapping[str, str]) -> Habits:
    stated = preset.endpoints.model_dump(exclude_none=True) if preset.endpoints else None
    plain = Habits(
        issuer=fill(preset.issuer, values) if preset.issuer else None,
        endpoints=EndpointsSpec.model_validate({name: fill(address, values) for name, address in stated.items()}) if stated else None,
    )
    return replace(
        plain,
        client_authentication=preset.client_authentication or plain.client_authentication,
        pkce=preset.pkce or plain.pkce,
        scope_separator=preset.scope_separator or plain.scope_separator,
        authorization_parameters=preset.authorization_parameters,
        token_parameters=preset.token_parameters,
        refusals=preset.refusals,
        display_name=preset.display_name,
        scope_descriptions=preset.scope_descriptions,
    )


def _read_parameters(spec: OAuthConnectorSpec, preset: Preset) -> Mapping[str, str]:
    """A value for each placeholder: the connector's, or the default."""
    for name in spec.parameters:
        if name not in preset.parameters:
            takes = ", ".join(preset.parameters) or "none"
            raise UnknownProvider(f"spec.parameters.{name} is no parameter of preset {spec.provider}; there are {takes}. {_IMMUTABLE}")
    values: dict[str, str] = {}
    for name, parameter in preset.parameters.items():
        value = spec.parameters.get(name, parameter.default)
        if value is None:
            raise UnknownProvider(
                f"Preset {spec.provider} needs spec.parameters.{name}: {parameter.description}, such as {parameter.example}. {_IMMUTABLE}"
            )
        if not parameter.admits(value):
            raise UnknownProvider(
                f"spec.parameters.{name} does not fit preset {spec.provider}: {parameter.description}, "
                f"such as {parameter.example}. {_IMMUTABLE}"
            )
        values[name] = value
    return values
