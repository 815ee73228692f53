"""The addresses that people follow, read strictly: what is not one byte for byte does not exist.

A link is `/consent/<namespace>/<grant>/<id>`, a callback `/callback/<namespace>/<connector>`. Names are DNS-1123 (as the API server
demands), the id is 256 bits in base64url without padding. Nothing here is ever decoded, so there is one spelling for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_NAME = 253
_RANDOM = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def is_random(text: str) -> bool:
    """Whether this is 256 bits in base64url: 43 characters, the last of which has two bits that are zero."""
    return _RANDOM.fullmatch(text) is not None


def _is_namespace(text: str) -> bool:
    return _NAMESPACE.fullmatch(text) is not None


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Link:
    """Where one person is asked one question. Who has the id may answer it, so it never shows in a text."""

    namespace: str
    grant: str
    id: SecretStr

    @classmethod
    def read(cls, namespace: str, grant: str, request_id: str) -> Self | None:
        """The link with these parts, or None where a part is not spelt as one."""
        if _is_namespace(namespace) and _is_name(grant) and is_random(request_id):
            return cls(namespace, grant, SecretStr(request_id))
        return None

    @property
    def path(self) -> str:
        """The path under the external URL."""
        return f"/consent/{self.namespace}/{self.grant}/{self.id.get_secret_value()}"


@dataclass(frozen=True, slots=True)
class Callback:
    """Where an authorization server sends people back to: one address for each connector (RFC 9700 section 4.4.2.2)."""

    namespace: str
    connector: str

    @classmethod
    def read(cls, namespace: str, connector: str) -> Self | None:
        """The callback with these parts, or None where a part is not spelt as one."""
        if _is_namespace(namespace) and _is_name(connector):
            return cls(namespace, connector)
        return None

    @property
    def path(self) -> str:
        """The path under the external URL."""
        return f"/callback/{self.namespace}/{self.connector}"
