"""What each process is told by its environment: one frozen model a process, and a sentence where it will not do.

What belongs to one authorization server stands in its OAuthConnector, never here. What must be chosen has no default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from grantkeeper.errors import SettingsError

PREFIX = "GRANTKEEPER_"

_FAULTS = {
    "missing": "is not set",
    "enum": "is none of its values",
    "bool_parsing": "must be true or false",
    "string_too_long": "is too long",
}
"""What pydantic finds, as the middle of a sentence; the checks below say it themselves."""


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def _matching(pattern: str, must: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(must)
        return text

    return check


def _check_external_url(text: str) -> str:
    """Https, or http on a loopback host, where cookies go without `Secure`; no slash at the end."""
    try:
        url = urlsplit(text)
        plain = url.hostname is not None and url.port != 0 and not (url.username or url.password or url.query or url.fragment)
    except ValueError:
        plain = False
    if not plain or re.search(r"[\s\\?#@]", text):
        raise ValueError("must be an absolute URL without user, query and fragment")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.hostname or "")):
        raise ValueError("must begin with https://, or, on a loopback host for development, http://")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8 or fd00::/8, with commas between them") from None


def _read_namespaces(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    if not all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names):
        raise ValueError("must be names of namespaces, with commas between them")
    return names


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


_Name = Annotated[str, AfterValidator(_matching(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", "must be the name of a Kubernetes object"))]
_Listen = Annotated[str, AfterValidator(_matching(r"([^\s:]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", "must be a host and a port, host:port"))]
_URL = Annotated[str, AfterValidator(_check_external_url)]
_Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_read_networks)]
_Namespaces = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_namespaces)]
_Level = Annotated[LogLevel, BeforeValidator(_upper)]


class Settings(BaseSettings):
    """What every process is told."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    namespace: _Name = Field(description="the namespace that the operator runs in and keeps its Secrets in")
    external_url: _URL = Field(
        description="the URL under which people's browsers reach the consent pages, such as https://connect.example.com"
    )
    log_level: _Level = Field(default=LogLevel.INFO, description="the least important lines that are logged: DEBUG, INFO, WARNING or ERROR")
    metrics_listen: _Listen = Field(
        default="0.0.0.0:9090",
        description="the address and port that /healthz, /readyz and /metrics are served on, host:port, which people never reach",
    )
    service_account_directory: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        description="where the token and the CA certificate of the Pod's ServiceAccount are mounted",
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment; SettingsError with a sentence for each variable that is missing or will not do."""
        try:
            return cls()
        except ValidationError as error:
            problems = error.errors(include_input=False, include_context=False, include_url=False)
            raise SettingsError(" ".join(cls._explain(p["loc"][0], p["type"], p["msg"]) for p in problems)) from None

    @classmethod
    def _explain(cls, name: int | str, kind: str, message: str) -> str:
        """One problem as a sentence. It never shows the value, which may have been put under the wrong name."""
        fault = _FAULTS.get(kind) or message.removeprefix("Value error, ")
        return f"{PREFIX}{str(name).upper()} {fault}: {cls.model_fields[str(name)].description}."


class ControllerSettings(Settings):
    """What `grantkeeper controller` is told."""

    pod_name: _Name = Field(description="the name of the Pod, by which a claim says who holds it")
    pod_uid: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="the UID of the Pod, which tells it from its namesakes"
    )
    keyring_secret: _Name = Field(
        default="grantkeeper-keyring", description="the Secret, of type grantkeeper.dev/keyring, that holds the key-encryption keys"
    )
    keyring_generate: bool = Field(
        default=False, description="whether a keyring is made when there is none and nothing has been sealed yet: true or false"
    )
    journal_directory: Path | None = Field(
        default=None,
        description="a directory of the Pod's own that outlives its container, in which tokens are kept, sealed, until they are stored",
    )
    provider_networks: _Networks = Field(
        default=(),
        description="private networks in which authorization servers may be, such as 10.0.0.0/8, with commas between them",
    )
    watch_namespaces: _Namespaces = Field(
        default=(),
        description="the namespaces whose grants are kept, with commas between them; all of them where none is named",
    )


class ConsentSettings(Settings):
    """What `grantkeeper consent` is told."""

    listen: _Listen = Field(default="0.0.0.0:8080", description="the address and port that the pages are served on, host:port")
