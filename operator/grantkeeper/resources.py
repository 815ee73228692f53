"""The two resources as Python sees them: OAuthConnector, a client at an authorization server, and UserGrant, one person's consent.

The CRDs in `crds/` are the reference and validate at the API server; these models only read what passed there. Members that
this version does not know are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, TypeAdapter

from grantkeeper.choices import (
    PKCE,
    ClientAuthentication,
    ConsentLink,
    Format,
    NamespacesFrom,
    RequestState,
    RevocationPolicy,
    Rotation,
    ScopeSeparator,
    SelectorOperator,
    TokenStorage,
)
from grantkeeper.objects import Condition, Metadata, Moment, Resource, Wire, Word, kept, no_texts

GROUP = "grantkeeper.dev"
VERSION = "v1alpha1"
FINALIZER = f"{GROUP}/keeper"


class EndpointsSpec(Wire):
    """Endpoints of a server that publishes no metadata."""

    authorization: str
    token: str
    revocation: str | None = None
    userinfo: str | None = None


class SecretKeyRef(Wire):
    """A key of a Secret in the connector's namespace."""

    name: str
    key: str = "clientSecret"


class ConsentSpec(Wire):
    """What people meet when they are asked."""

    link: ConsentLink = ConsentLink.ON_REQUEST
    display_name: str | None = None
    scope_descriptions: dict[str, str] = Field(default_factory=dict)


class RefreshSpec(Wire):
    """When and how access tokens are refreshed."""

    lifetime_percent: int = 75
    rotation: Rotation = Rotation.DETECT
    leeway_seconds: int = 0
    refresh_token_lifetime_seconds: int | None = None
    assumed_lifetime_seconds: int | None = None

    @property
    def assumed_lifetime(self) -> timedelta | None:
        """The lifetime of tokens whose answer carries no `expires_in`, where the connector states one."""
        return None if self.assumed_lifetime_seconds is None else timedelta(seconds=self.assumed_lifetime_seconds)

    @property
    def refresh_token_lifetime(self) -> timedelta | None:
        """The lifetime of refresh tokens, where the server does not tell and the connector does."""
        return None if self.refresh_token_lifetime_seconds is None else timedelta(seconds=self.refresh_token_lifetime_seconds)


class LabelRequirement(Wire):
    """What one label has to be."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()


class LabelSelector(Wire):
    """Labels, as Kubernetes selects by them: all of it has to hold."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[LabelRequirement, ...] = ()


class AllowedNamespaces(Wire):
    """Which namespaces may refer to a connector, besides its own."""

    from_: NamespacesFrom = Field(alias="from")
    selector: LabelSelector | None = None


class LimitsSpec(Wire):
    """How hard the server may be asked."""

    requests_per_second: int = 10
    concurrency: int = 8


class OAuthConnectorSpec(Wire):
    """The desired state of a connector. What its preset may decide has no default here: `core.presets` knows what counts."""

    provider: str | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    issuer: str | None = None
    endpoints: EndpointsSpec | None = None
    client_id: str
    client_authentication: ClientAuthentication | None = None
    client_secret_ref: SecretKeyRef | None = None
    fallback_client_secret_ref: SecretKeyRef | None = None
    pkce: PKCE | None = None
    scopes: tuple[str, ...] = ()
    authorization_parameters: dict[str, str] = Field(default_factory=dict)
    token_parameters: dict[str, str] = Field(default_factory=dict)
    scope_separator: ScopeSeparator | None = None
    token_storage: TokenStorage = TokenStorage.ENABLED
    ca_bundle: str | None = None
    limits: LimitsSpec = LimitsSpec()
    consent: ConsentSpec = ConsentSpec()
    refresh: RefreshSpec = RefreshSpec()
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces(from_=NamespacesFrom.SAME)


class ServerStatus(Wire):
    """What was learned of the authorization server."""

    issuer: str | None = None
    authorization_endpoint: str | None = None
    iss_parameter_supported: bool | None = None
    features: tuple[str, ...] = ()


class OAuthConnectorStatus(Wire):
    """The observed state of a connector."""

    observed_generation: int | None = None
    redirect_uri: str | None = None
    server: ServerStatus | None = None
    grants: int | None = None
    conditions: tuple[Condition, ...] = ()


class OAuthConnector(Resource):
    """One OAuth 2.0 client at one authorization server."""

    spec: OAuthConnectorSpec
    status: OAuthConnectorStatus = OAuthConnectorStatus()


@kept
class ConnectorRef:
    """The connector of a grant, by default in the grant's namespace."""

    name: Word
    namespace: Word | None = None


@kept
class SecretSpec:
    """A Secret that always holds a fresh access token."""

    name: str
    format: Format = Format.TOKEN
    env: str | None = None
    templates: Mapping[str, str] = Field(default_factory=no_texts)
    labels: Mapping[str, str] = Field(default_factory=no_texts)
    annotations: Mapping[str, str] = Field(default_factory=no_texts)


class ExpectedAccount(Wire):
    """The account at the provider that must consent: everything that is set must fit."""

    subject: str | None = None
    email: str | None = None
    domain: str | None = None


@kept
class UserGrantSpec:
    """The desired state of a grant."""

    connector_ref: ConnectorRef
    user: str
    expected_account: ExpectedAccount | None = None
    scopes: tuple[str, ...] = ()
    purpose: str | None = None
    suspend: bool = False
    secrets: tuple[SecretSpec, ...] = ()
    revocation_policy: RevocationPolicy = RevocationPolicy.REVOKE


@kept
class ConsentRequestStatus:
    """One thing that a person was asked, as the pages need it. It holds nothing that lets anybody answer."""

    hash: str
    challenge: str | None = None
    nonce: str | None = None
    state: RequestState
    scopes: tuple[str, ...] = ()
    expiration_time: datetime
    reason: str | None = None


@kept
class Account:
    """The account at the provider that consented."""

    subject: str
    username: str | None = None
    email: str | None = None
    name: str | None = None
    picture: str | None = None


@kept
class UserGrantStatus:
    """The observed state of a grant."""

    observed_generation: int | None = None
    consent_url: str | None = None
    consent_requests: tuple[ConsentRequestStatus, ...] = ()
    token_state: Word | None = None
    account: Account | None = None
    requested_scopes: tuple[str, ...] = ()
    granted_scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    token_generation: int | None = None
    refresh_token_expiration_time: Moment | None = None
    expiration_time: Moment | None = None
    last_refresh_time: Moment | None = None
    next_refresh_time: Moment | None = None
    last_failure_time: Moment | None = None
    last_handled_refresh: str | None = None
    failed_refreshes: int | None = None
    sealed_secret_name: str | None = None
    conditions: tuple[Condition, ...] = ()


@kept
class UserGrant:
    """One person's consent to one connector."""

    metadata: Metadata
    spec: UserGrantSpec
    status: UserGrantStatus = UserGrantStatus()

    @classmethod
    def read(cls, body: dict[str, Any]) -> UserGrant:
        """Read an object as the API server sent it."""
        return _GRANTS.validate_python(body)

    @property
    def connector_name(self) -> tuple[str, str]:
        """Namespace and name of the connector."""
        reference = self.spec.connector_ref
        return reference.namespace or self.metadata.namespace, reference.name


_GRANTS = TypeAdapter(UserGrant)
