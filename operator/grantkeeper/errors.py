"""Everything that can go wrong, as one tree; each leaf says whether to try again.

GrantkeeperError
├── SettingsError            the process should not have started; a sentence for its administrator
├── KeyringError             no usable key-encryption key; the work stops, nothing is dropped
├── ConsentError             a person must be told
├── ProviderError            an authorization server did not do what was asked
│   ├── MetadataError        its metadata will not do (core.metadata)
│   │   └── UnknownProvider  no preset, or none with these parameters (core.presets)
│   ├── IDTokenError         it does not say in a way that holds whose account it is (core.idtoken)
│   ├── Unverifiable         a signature was made with none of its keys (core.signatures)
│   ├── ProviderUnsent       not one byte was sent: nothing can have been spent, try again
│   ├── ProviderDistrusted   refused before sending: its certificate or its address; a person must act
│   └── AnswerLost           sent, and nothing usable came back: what was presented may be spent
├── Unsealable               wrong key, wrong owner, or changed; nothing is ever deleted because of it
├── Unstored                 what was gained waits in the journal, for the API server refuses it; it is tried again
└── ClusterError             the Kubernetes API did not do what was asked
    ├── NotFound
    ├── Conflict             somebody wrote first (or the object exists): read again, plan again
    ├── Forbidden            RBAC or admission said no: a person must act
    ├── Invalid              the API server refuses the object as it is
    └── Unreachable          no answer, or one that says "later": try again

No message holds a token, a code, a verifier or a client secret, and none repeats what a server sent.
"""

from __future__ import annotations


class GrantkeeperError(Exception):
    """The root: catch it where a door must survive whatever happened behind it."""


class SettingsError(GrantkeeperError):
    """The environment does not say what a process needs; the message is a sentence that says what to set."""


class KeyringError(GrantkeeperError):
    """The keyring is missing or unusable; the message says what to do about it."""


class ConsentError(GrantkeeperError):
    """A person's consent cannot go on; the message is for that person."""


class ProviderError(GrantkeeperError):
    """A request to an authorization server brought no usable answer."""


class ProviderUnsent(ProviderError):
    """Connecting failed before a byte was sent, so nothing was presented; try again later."""


class ProviderDistrusted(ProviderError):
    """The server's certificate or address is not accepted, so nothing was sent; a person must act."""


class AnswerLost(ProviderError):
    """The request was sent and no usable answer arrived; a single-use token in it may be spent."""


class Unsealable(GrantkeeperError):
    """A sealed value does not open here; `reason` is one of a closed set of words and never holds data."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"does not open: {reason}")
        self.reason = reason


class Unstored(GrantkeeperError):
    """What was gained could not be stored now; it is in the journal, and nothing else is done for its grant before."""


class ClusterError(GrantkeeperError):
    """A call to the Kubernetes API failed."""


class NotFound(ClusterError):
    """There is no such object."""


class Conflict(ClusterError):
    """The object changed since it was read, or already exists; read again and decide again."""


class Forbidden(ClusterError):
    """RBAC or an admission policy refuses the call; a person must act."""


class Invalid(ClusterError):
    """The API server refuses the object as it is; sending it again will not help."""


class Unreachable(ClusterError):
    """No answer, or an answer that says to come back later; whether a write happened is unknown."""
