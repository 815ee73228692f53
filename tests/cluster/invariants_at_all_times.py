"""What must hold at every moment: in everything that was ever written, presented or put anywhere.

Each check yields sentences; none means that all is well. There is no patience here: what was wrong once is wrong.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from cluster.everyday import SHORT, Life, Object
from cluster.invariants import Scene, owner_of
from cluster.stage import sha256, status
from grantkeeper.core.reasons import OF_A_GRANT, STALLED, Reason
from grantkeeper.core.rotation import USUAL_TIMEOUT

EXCUSED_FOR = USUAL_TIMEOUT
"""How long before a misfortune a request may have been sent that it spoiled: for as long as its answer was awaited."""

PRESENTED_AT_MOST = 2
PATIENT_FOR = SHORT * 3 / 4 - 4
"""Seconds for which a refresh token whose answer was lost is left alone: three quarters of its access token's life, which counts here
in whole seconds and from before the request was sent; less what a slow machine takes for that."""


def find_misplaced(life: Life, issued: dict[str, str]) -> Iterator[str]:
    """Nothing of one namespace is in another's: no token of its clients, no Secret that one of its grants owns; and no other secret.

    `issued` has the kind of every secret that the server has issued or seen, by its value.
    """
    scene = Scene.look(life)
    homes = {client: connector.namespace for connector in life.connectors for client in connector.clients}
    clients = {entry["access_token"]: entry["client_id"] for entry in life.auth_server.ledger() if entry["access_token"]}
    owners = {body["metadata"]["uid"]: namespace for (namespace, _), body in scene.grants.items()}
    tokens = {value: homes[clients[sha256(value)]] for value, kind in issued.items() if kind == "access_token" and sha256(value) in clients}
    for (namespace, name), body in scene.secrets.items():
        held = "\n".join(base64.b64decode(value).decode(errors="replace") for value in (body.get("data") or {}).values())
        if owners.get(owner_of(body) or "", namespace) != namespace:
            yield f"Secret {namespace}/{name} is owned by a grant of another namespace"
        yield from (
            f"a token of {home} is in Secret {namespace}/{name}" for token, home in tokens.items() if token in held and namespace != home
        )
        if _is_anothers(name):
            yield from (f"a {kind} is in Secret {namespace}/{name}" for value, kind in issued.items() if kind in _NEVER and value in held)


_NEVER = {"refresh_token", "code_verifier", "id_token"}


def _is_anothers(name: str) -> bool:
    return not name.endswith("-client") and name != "grantkeeper-keyring"


def find_told_wrongly(versions: list[Object]) -> Iterator[str]:
    """In every version of every status: reasons of the catalogue, a Ready that repeats, messages, and one generation of the spec."""
    newest: defaultdict[str, int] = defaultdict(int)
    for body in versions:
        if body["kind"] != "UserGrant" or "observedGeneration" not in status(body):
            continue
        who = f"{body['metadata']['namespace']}/{body['metadata']['name']}@{body['metadata']['resourceVersion']}"
        found = {c["type"]: c for c in status(body)["conditions"]}
        yield from (f"{who}: {sentence}" for sentence in _told_wrongly(body, found))
        generation = status(body).get("tokenGeneration", 0)
        if 0 < generation < newest[body["metadata"]["uid"]]:
            yield f"{who}: tokenGeneration went back to {generation}"
        newest[body["metadata"]["uid"]] = max(generation, newest[body["metadata"]["uid"]])


def _told_wrongly(body: Object, found: dict[str, Object]) -> Iterator[str]:
    if set(found) - {"Stalled"} != {*OF_A_GRANT, "Ready"}:
        yield f"the conditions are {sorted(found)}"
        return
    for kind in OF_A_GRANT:
        told = found[kind]
        may = {"True": OF_A_GRANT[kind].when_true, "False": OF_A_GRANT[kind].when_false, "Unknown": {Reason.PENDING}}
        if told["reason"] not in may[told["status"]]:
            yield f"{kind} is {told['status']} with reason {told['reason']}"
        if told["status"] != "True" and not told["message"]:
            yield f"{kind} is {told['status']} and says nothing"
    broken = next((found[kind] for kind in OF_A_GRANT if found[kind]["status"] != "True"), None)
    said = tuple(found["Ready"][key] for key in ("status", "reason", "message"))
    if said != (("True", "Ready", "") if broken is None else tuple(broken[key] for key in ("status", "reason", "message"))):
        yield f"Ready says {said[:2]}, and the first that is not true is {broken and broken['reason']}"
    stalled = next(
        (c["reason"] for c in found.values() if c["type"] in OF_A_GRANT and c["status"] == "False" and c["reason"] in STALLED), None
    )
    if ("Stalled" in found) != (stalled is not None):
        yield f"Stalled is {'there' if 'Stalled' in found else 'not there'}, and a person must act: {stalled}"
    if {told.get("observedGeneration") for told in found.values()} != {status(body)["observedGeneration"]}:
        yield "the conditions are of different generations"


def find_presented_again(life: Life) -> Iterator[str]:
    """No code twice; no refresh token twice but after an answer that may not have arrived, or once more after a change of the spec."""
    presented: defaultdict[str, list[Object]] = defaultdict(list)
    issued: dict[str, datetime] = {}
    for entry in life.auth_server.ledger():
        if entry["refresh_token"]:
            issued[entry["refresh_token"]] = datetime.fromisoformat(entry["time"])
        if entry["endpoint"] == "token" and entry["presented"] and entry["error"] not in {"invalid_client", "unauthorized_client"}:
            presented[entry["presented"]].append(entry)
    for digest, entries in presented.items():
        for before, again in pairwise(entries):
            times = f"at {before['time']} ({before['error']}) and again at {again['time']}"
            if again["grant_type"] == "authorization_code":
                yield f"a code was presented {times}"
            elif before["error"] is None and (datetime.fromisoformat(again["time"]) - issued[digest]).total_seconds() < PATIENT_FOR:
                yield f"a refresh token that may be spent was presented {times}, while its access token was of use"
            elif not _is_excused(life, before, again):
                yield f"a refresh token was presented {times}"
        if entries[0]["error"] is None and len(entries) > PRESENTED_AT_MOST:
            yield f"a refresh token was presented {len(entries)} times, at last at {entries[-1]['time']}"


def _is_excused(life: Life, before: Object, again: Object) -> bool:
    first, second = (datetime.fromisoformat(entry["time"]) for entry in (before, again))
    if before["delivered"] is not True:
        return True
    if any(first - timedelta(seconds=1) < moment < min(first + EXCUSED_FOR, second) for moment in life.misfortunes):
        return True
    return before["error"] == "invalid_grant" and any(first - timedelta(seconds=1) < moment < second for moment in life.edits)
