"""Client secrets are read from where people keep them, whenever they are needed: those Secrets are not ours, and nobody watches them."""

from __future__ import annotations

from pydantic import SecretStr

from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.core.clientsecrets import judge_client_secret
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem
from grantkeeper.errors import Forbidden, NotFound
from grantkeeper.resources import OAuthConnector, SecretKeyRef

NO_RIGHT = (
    "Grantkeeper may not read Secret {name}: it has no right to read Secrets in this namespace. Whoever runs it can list the namespace in "
    "watch.namespaces of the chart."
)


async def read_client_secret(
    cluster: Cluster, connector: OAuthConnector, reference: SecretKeyRef | None, *, is_fallback: bool = False
) -> SecretStr | Problem | None:
    """One of a connector's secrets; a Problem where it cannot be used, None where it needs none. ClusterError where nothing is known."""
    body = None
    if reference is not None:
        try:
            body = await cluster.get(SECRETS, connector.metadata.namespace, reference.name)
        except NotFound:
            pass
        except Forbidden:
            return Problem(Reason.SECRET_NOT_OFFERED, NO_RIGHT.format(name=reference.name))
    return judge_client_secret(connector, body, is_fallback=is_fallback)
