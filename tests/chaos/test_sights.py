from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from pathlib import Path

from pydantic import SecretStr

from chaos.evidence import Claimed, Entry, brief
from chaos.mishaps import read_journal
from chaos.sights import read_copy, read_report, read_sealed
from grantkeeper.adapters.journal import Journal
from grantkeeper.core.gains import Gain
from grantkeeper.core.records import Attempt, Claim, Holder, Meta, Sealed, Spending, write_sealed
from grantkeeper.core.rendering import write_copy
from grantkeeper.core.tokens import AccessToken, fingerprint
from grantkeeper.resources import UserGrant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
META = Meta(generation=3, attempt="earlier", obtained_at=NOW, kid="k")
GRANT = UserGrant.read(
    {
        "apiVersion": "grantkeeper.dev/v1alpha1",
        "kind": "UserGrant",
        "metadata": {"name": "alice", "namespace": "chaos", "uid": "u", "resourceVersion": "8", "generation": 1},
        "spec": {"connectorRef": {"name": "strict"}, "user": "alice", "secrets": [{"name": "alice-token"}]},
    }
)


def test_what_the_operator_seals_is_read() -> None:
    claim = Claim(attempt="now", holder=Holder(pod="p", boot="b"), spending=Spending.REFRESH_TOKEN, hash="f" * 64, generation=3, lost=True)
    sealed = Sealed(uid="u", namespace="chaos", name="alice", resource_version="7", tokenset="jwe", meta=META, claim=claim)
    seen = read_sealed(write_sealed(sealed, "home"), 5.0)
    assert (seen.grant, seen.version, seen.seen_at, seen.generation) == ("alice", 7, 5.0, 3)
    assert seen.claim == Claimed("now", "p", "b", brief("f" * 64), lost=True)
    assert seen.tokenset
    bare = read_sealed(write_sealed(Sealed(uid="u", namespace="chaos", name="alice", resource_version="6"), "home"), 4.0)
    assert (bare.generation, bare.tokenset, bare.claim) == (0, "", None)


def test_what_the_operator_delivers_is_read() -> None:
    token = AccessToken(value=SecretStr("at-1"), token_type="Bearer", expires_at=NOW, scope=None, generation=3)
    body = write_copy(GRANT, GRANT.spec.secrets[0], token, "id")
    body["metadata"]["resourceVersion"] = "9"
    seen = read_copy(body, 5.0)
    assert (seen.grant, seen.version, seen.generation, seen.expires) == ("alice", 9, 3, "2026-01-01T00:00:00Z")
    assert seen.access_token == brief(fingerprint(SecretStr("at-1")))
    assert read_copy(body, 5.0, gone=True).access_token == ""


def test_what_is_reported_is_read() -> None:
    status = {
        "tokenGeneration": 3,
        "expirationTime": "2026-01-01T00:00:00Z",
        "consentURL": "https://link",
        "conditions": [{"type": "Fresh", "status": "True"}, {"type": "Ready", "status": "True", "reason": "Ready"}],
    }
    seen = read_report({"metadata": {"name": "alice", "resourceVersion": "4"}, "status": status}, 5.0)
    assert seen == ("alice", 4, 5.0, 3, True, "Ready", "2026-01-01T00:00:00Z", "https://link")
    assert not read_report({"metadata": {"name": "alice", "resourceVersion": "4"}}, 5.0).is_ready


async def test_what_is_in_a_journal_is_read(tmp_path: Path) -> None:
    outcome = Attempt(hash="f" * 64, reason="Refreshed", time=NOW, spec_generation=1)
    gain = Gain(uid="u", namespace="chaos", name="alice", attempt="a", parent=None, tokenset="jwe", meta=META, outcome=outcome)
    await Journal(tmp_path).write(gain)
    assert [entry.presented for entry in read_journal(tmp_path)] == [brief("f" * 64)]
    assert isinstance(read_journal(tmp_path)[0], Entry)


def test_of_entries_in_one_file_what_was_struck_out_is_not_read_and_the_time_of_the_others_is_not_known(tmp_path: Path) -> None:
    lines = [b'{"outcome": {"hash": "%s"}}' % (letter * 64) for letter in (b"a", b"b", b"c")]
    (tmp_path / "several.gain").write_bytes(b"\n".join(lines))
    assert [entry.presented for entry in read_journal(tmp_path)] == [brief(letter * 64) for letter in "abc"]
    (tmp_path / "several.gain").write_bytes(b"\n".join([lines[0], b"-" + lines[1][1:], lines[2]]))
    assert read_journal(tmp_path) == (Entry(brief("a" * 64), inf), Entry(brief("c" * 64), inf))
