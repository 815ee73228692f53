from __future__ import annotations

from pathlib import Path

import pytest

from parts import PartFailed, binaries, toolchains

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that the build has been done."""
    directory = tmp_path / "built"
    monkeypatch.setattr(binaries, "_built", lambda: directory)
    return directory


def test_without_assets_the_pinned_programs_run(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    assert binaries.obtain() == binaries.Binaries(*(built / name for name in NAMES))


def test_assets_win_and_what_they_lack_is_built(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in NAMES[:2]:
        (assets / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.obtain() == binaries.Binaries(assets / NAMES[0], assets / NAMES[1], built / NAMES[2])
    assert "KUBEBUILDER_ASSETS holds no kube-controller-manager" in capsys.readouterr().err


def test_assets_that_are_nowhere_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/nowhere")
    with pytest.raises(PartFailed, match="KUBEBUILDER_ASSETS is /nowhere, which is no directory"):
        binaries.obtain()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26, 8), id="Go"),
        pytest.param("v20.20.2\n", (20, 20, 2), id="Node.js"),
        pytest.param("go version devel", (), id="no number is older than any"),
    ],
)
def test_versions_are_read_from_what_programs_say(said: str, version: tuple[int, ...]) -> None:
    assert toolchains.version_in(said) == version


def test_the_module_pins_kubernetes_and_go() -> None:
    text = (binaries.MODULE / "go.mod").read_text()
    assert "\tk8s.io/kubernetes v1.36." in text
    assert toolchains.version_in(text.partition("\ngo ")[2]) >= (1, 26)
