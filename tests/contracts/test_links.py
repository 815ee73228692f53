"""What people read leads somewhere: every link of the documentation, with its heading, and every file that a command names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from contracts.chart import CHART
from contracts.schemas import CRDS, ROOT, load_crds

EXAMPLES = ROOT / "examples"
INDEX = EXAMPLES / "README.md"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        CRDS / "README.md",
        CHART / "README.md",
        ROOT / "operator" / "ARCHITECTURE.md",
        *EXAMPLES.rglob("*.md"),
    ]
)
LINK = re.compile(r"(?<!!)\[[^]]*]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose_of(page: Path) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def links_of(page: Path) -> list[str]:
    """Where the page leads inside this repository."""
    return [target for target in LINK.findall(prose_of(page)) if not target.startswith(("https://", "http://"))]


def anchors_of(page: Path) -> set[str]:
    """The headings of a page, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ +(.*?) *$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(page: Path, target: str) -> bool:
    path, _, anchor = unquote(target).partition("#")
    found = (page.parent / path).resolve() if path else page
    return not found.exists() or (bool(anchor) and anchor not in anchors_of(found))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_what_is_there(page: Path) -> None:
    assert [target for target in links_of(page) if leads_nowhere(page, target)] == []


@pytest.mark.parametrize("page", sorted(EXAMPLES.rglob("*.md")), ids=name_of)
def test_every_file_that_a_command_applies_is_beside_its_page(page: Path) -> None:
    named = re.findall(r" -f (\S+)", page.read_text())
    assert [file for file in named if not (page.parent / file).is_file()] == []


def test_the_index_names_every_example() -> None:
    directories = {directory.name for directory in EXAMPLES.iterdir() if directory.is_dir()}
    assert {target.partition("/")[0] for target in links_of(INDEX) if not target.startswith("..")} == directories


@pytest.mark.parametrize("directory", sorted(path for path in EXAMPLES.iterdir() if path.is_dir()), ids=name_of)
def test_every_manifest_of_an_example_is_in_its_page(directory: Path) -> None:
    page = (directory / "README.md").read_text()
    assert [manifest.name for manifest in directory.glob("*.yaml") if manifest.name not in page] == []


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_readme_shows_the_columns_that_kubectl_prints() -> None:
    (version,) = load_crds()["UserGrant"]["spec"]["versions"]
    columns = ["NAME", *(column["name"].upper() for column in version["additionalPrinterColumns"] if "priority" not in column)]
    headings = re.findall(r"^ *NAME .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert headings
    assert [heading.split() for heading in headings] == [columns] * len(headings)
