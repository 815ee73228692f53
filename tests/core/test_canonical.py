"""One spelling for one value, by the examples of RFC 8785."""

from __future__ import annotations

from typing import Any

import pytest

from grantkeeper.core.canonical import canonical_json


def test_members_are_sorted_by_utf_16_code_units_as_in_rfc_8785_section_3_2_3() -> None:
    example = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    written = canonical_json(example).decode()
    places = [written.index(f'"{value}"') for value in ("Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis")]
    places += [written.index(f'"{value}"') for value in ("Euro Sign", "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param('\u20ac$\u000f\nA\'B"\\\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"', id="the string of section 3.2.2"),
        pytest.param("\b\t\n\f\r\x1f\x7f", '"\\b\\t\\n\\f\\r\\u001f\x7f"', id="control characters, and delete as it is"),
        pytest.param({}, "{}", id="nothing"),
        pytest.param({"b": {"d": "1", "c": "2"}, "a": "3"}, '{"a":"3","b":{"c":"2","d":"1"}}', id="sorted at every level, no spaces"),
    ],
)
def test_how_it_is_written(value: Any, written: str) -> None:
    assert canonical_json(value) == written.encode()


@pytest.mark.parametrize("value", [1, 1.5, True, None, ["a"], {"a": 1}], ids=repr)
def test_what_is_not_strings_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)
