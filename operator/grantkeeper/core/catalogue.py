"""What a file of the provider catalogue may say: a preset, read strictly, for a member that nobody reads would be a promise not kept.

Presets are data. A placeholder in an address stands for its whole host or for one whole segment of its path, and no value can be
written that goes beyond: the host that a token is sent to is the one that the file or the parameter spells out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from grantkeeper.choices import PKCE, ClientAuthentication, ScopeSeparator
from grantkeeper.objects import Wire

_PLACEHOLDER = re.compile(r"\{([a-zA-Z]+)\}")
_ADDRESS = re.compile(r"https://(\{[a-zA-Z]+\}|[a-z0-9.-]+)(/(\{[a-zA-Z]+\}|[A-Za-z0-9._~-]+))*/?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(:[0-9]{1,5})?")
"""A host with or without a port, or a word: nothing in it ends a host or a segment (RFC 3986 section 3), and it is never `..`."""


def _check_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be an https address in which a placeholder is the whole host or a whole segment of the path")
    return text


Address: TypeAlias = Annotated[str, AfterValidator(_check_address)]


class Strict(Wire):
    """What is refused when it says more than is known."""

    model_config = ConfigDict(extra="forbid")


class Parameter(Strict):
    """One placeholder: what people write into it."""

    description: str
    pattern: str
    example: str
    default: str | None = None

    def admits(self, value: str) -> bool:
        """Whether a value may stand in an address."""
        return re.fullmatch(self.pattern, value) is not None and _VALUE.fullmatch(value) is not None


class Source(Strict):
    """A page of the vendor's own documentation that the preset rests on."""

    title: str
    read: date


class PresetEndpoints(Strict):
    """The endpoints of a server whose metadata are not relied on."""

    authorization: Address
    token: Address
    revocation: Address | None = None
    userinfo: Address | None = None


class Preset(Strict):
    """One provider: where it is, how it is dealt with, and in which words people are asked."""

    display_name: Annotated[str, Field(min_length=1, max_length=64)]
    issuer: Address | None = None
    endpoints: PresetEndpoints | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    client_authentication: Literal[ClientAuthentication.BASIC, ClientAuthentication.POST] | None = None
    """Never None: whether a client has a secret is for its owner to say, and the CRD holds the two together."""
    pkce: PKCE | None = None
    scope_separator: ScopeSeparator | None = None
    authorization_parameters: dict[str, str] = Field(default_factory=dict)
    token_parameters: dict[str, str] = Field(default_factory=dict)
    refusals: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")], ...] = ()
    """Errors by which this server refuses a code or a refresh token for good, besides `invalid_grant` and what is known of all servers."""
    scope_descriptions: dict[str, Annotated[str, Field(min_length=1, max_length=256)]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What somebody who uses it should know."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address in it, placeholders included."""
        endpoints = self.endpoints.model_dump(exclude_none=True).values() if self.endpoints else ()
        return (*endpoints, *((self.issuer,) if self.issuer else ()))

    @property
    def hosts(self) -> frozenset[str]:
        """Every host that people or tokens are sent to, placeholders included."""
        return frozenset(urlsplit(address).netloc for address in self.addresses)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.issuer is None) == (self.endpoints is None):
            raise ValueError("exactly one of issuer and endpoints")
        used = {name for address in self.addresses for name in _PLACEHOLDER.findall(address)}
        if used != self.parameters.keys():
            raise ValueError("every placeholder is a parameter, and every parameter a placeholder")
        for parameter in self.parameters.values():
            if not all(parameter.admits(value) for value in (parameter.example, parameter.default) if value is not None):
                raise ValueError("an example or a default that the parameter itself does not admit")
        return self


def fill(address: str, values: Mapping[str, str]) -> str:
    """An address with its placeholders filled in; each value must have been admitted by its parameter."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], address)
