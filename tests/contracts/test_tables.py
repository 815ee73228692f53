"""The READMEs say what the code says."""

from __future__ import annotations

import pytest

from contracts.tables import TABLES, find, place_of


@pytest.mark.parametrize("name", list(TABLES))
def test_table_is_up_to_date(name: str) -> None:
    text = place_of(name).read_text()
    start, end = find(name, text)
    assert text[start:end] == TABLES[name](), "write it anew: PYTHONPATH=tests .venv/bin/python -m contracts.tables"
