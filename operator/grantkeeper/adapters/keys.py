"""The keyring Secret, followed as it changes; and the first one, made where nothing can depend on another.

A keyring that went missing is never replaced by a new one while anything sealed is left: that would turn a restore from backup, which
is all it takes, into a loss.
"""

from __future__ import annotations

import base64
import secrets

import structlog

from grantkeeper.adapters.calls import Object
from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.core.keyring import ACTIVE, KEY_BYTES, Keyring
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.errors import Conflict, KeyringError, NotFound

log = structlog.get_logger()

KEYRING_TYPE = "grantkeeper.dev/keyring"
_FIRST = "key-1"


class KeyringSecret:
    """The keyring of one operator namespace, in the Secret `name`; made if `generate` allows it and nothing is sealed yet."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, *, generate: bool) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._generate = generate
        self._keyring: Keyring | None = None

    @property
    def keyring(self) -> Keyring:
        """The keyring as it was last read rightly; KeyringError before that."""
        if self._keyring is None:
            raise KeyringError(f"The keyring {self._namespace}/{self._name} has not been read yet.")
        return self._keyring

    async def reload(self) -> None:
        """Read it again. KeyringError says what to do; what was read before stays in use, for it still opens what it sealed."""
        try:
            secret = await self._cluster.get(SECRETS, self._namespace, self._name)
        except NotFound:
            secret = await self._make_first()
        if secret.get("type") != KEYRING_TYPE:
            raise KeyringError(
                f"The Secret {self._namespace}/{self._name} is not of type {KEYRING_TYPE}, and a Secret's type never changes: "
                "delete it and create it again with the same keys and that type."
            )
        keyring = Keyring.from_files({name: base64.b64decode(held) for name, held in (secret.get("data") or {}).items()})
        if keyring != self._keyring:
            log.info("the keyring was read", active=keyring.active_kid, kids=sorted(keyring.kids))
        self._keyring = keyring

    async def _make_first(self) -> Object:
        place = f"{self._namespace}/{self._name}"
        if await self._cluster.list(SECRETS, self._namespace, labels=f"{KIND_LABEL}=sealed"):
            raise KeyringError(
                f"The keyring {place} is missing, and what is sealed in {self._namespace} opens with no other: restore it from its backup. "
                "Nothing sealed is deleted meanwhile."
            )
        if not self._generate:
            raise KeyringError(
                f"The keyring {place} is missing: create it with `openssl rand -base64 {KEY_BYTES} | kubectl create secret generic -n "
                f"{self._namespace} {self._name} --type={KEYRING_TYPE} --from-literal={ACTIVE}={_FIRST} --from-file={_FIRST}=/dev/stdin`, "
                "or set GRANTKEEPER_KEYRING_GENERATE to true."
            )
        try:
            made = await self._cluster.create(SECRETS, self._namespace, self._first())
        except Conflict:
            # Another controller was faster; its keyring is the one.
            return await self._cluster.get(SECRETS, self._namespace, self._name)
        log.warning("a keyring was made: back it up, for nothing that is sealed opens without it", secret=place)
        return made

    def _first(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": KEYRING_TYPE,
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {KIND_LABEL: "keyring", "app.kubernetes.io/managed-by": "grantkeeper"},
            },
            # In base64 twice: whoever copies it out of the cluster by hand finds text.
            "stringData": {ACTIVE: _FIRST, _FIRST: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()},
        }
