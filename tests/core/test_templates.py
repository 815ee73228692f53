"""Templates: what they become, and what is said of one that cannot be filled."""

from __future__ import annotations

import pytest

from grantkeeper.core.templates import FILTERS, OUTPUT_LIMIT, PLACEHOLDERS, TemplateTooLong, fill, find_fault

VALUES = {**dict.fromkeys(PLACEHOLDERS, ""), "access_token": 'a"/é+', "token_type": "Bearer", "user": "[[ scope ]]", "scope": "read"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("", "", id="nothing becomes nothing"),
        pytest.param("{{ .token }} ]] [ x ]\n", "{{ .token }} ]] [ x ]\n", id="text without opening brackets stays as it is"),
        pytest.param("[[ token_type ]] [[access_token]]!", 'Bearer a"/é+!', id="placeholders, with spaces and without"),
        pytest.param("[[\n  token_type\n]]", "Bearer", id="a placeholder over several lines"),
        pytest.param("<[[ expires_at ]]>", "<>", id="what is not known is empty"),
        pytest.param("[[ access_token | b64enc ]]", "YSIvw6kr", id="base64 of UTF-8"),
        pytest.param("[[ access_token|json ]]", '"a\\"/\\u00e9+"', id="a JSON string with its quotes"),
        pytest.param("[[ access_token | urlencode ]]", "a%22%2F%C3%A9%2B", id="a slash and a plus sign are encoded too"),
        pytest.param("[[ user ]]", "[[ scope ]]", id="a value is not a template"),
    ],
)
def test_fill(template: str, expected: str) -> None:
    assert find_fault(template) is None
    assert fill(template, VALUES) == expected


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        pytest.param(
            "[[ refresh_token ]]",
            "[[ refresh_token ]] names no placeholder; there are access_token, token_type, expires_at, scope, user, account",
            id="a refresh token is not to be had",
        ),
        pytest.param("[[ access_token.__class__ ]]", "names no placeholder", id="no attributes"),
        pytest.param("[[ Access_Token ]]", "names no placeholder", id="another case"),
        pytest.param("[[ ]]", "[[ ]] names no placeholder", id="nothing between the brackets"),
        pytest.param("[[ | json ]]", "names no placeholder", id="a filter of nothing"),
        pytest.param(
            "[[ scope | upper ]]",
            "[[ scope | upper ]] names no filter; there are b64enc, json, urlencode, and a placeholder takes one",
            id="an unknown filter",
        ),
        pytest.param("[[ scope | ]]", "names no filter", id="no filter after the bar"),
        pytest.param("[[ scope | json | json ]]", "names no filter", id="two filters: what they make has no bound"),
        pytest.param("[[ scope ]] [[ user", "[[ user is not closed; a placeholder ends with ]]", id="an open bracket"),
        pytest.param("[[", "[[ is not closed", id="an open bracket at the end"),
        pytest.param("[[ scope [[ user ]]", "[[ scope [[ user ]] names no placeholder", id="open when the next one begins"),
        pytest.param("[[ " + "x" * 99 + " ]]", "x… names no placeholder", id="a long one is cut"),
    ],
)
def test_fault(template: str, fault: str) -> None:
    found = find_fault(f"before [[ scope ]] {template}")
    assert found is not None
    assert fault in found


def test_what_becomes_too_long_is_refused_before_it_is_made() -> None:
    assert fill("[[ access_token ]]", {**VALUES, "access_token": "x" * OUTPUT_LIMIT})
    with pytest.raises(TemplateTooLong, match="longer than 64 KiB"):
        fill("[[ access_token ]].", {**VALUES, "access_token": "x" * OUTPUT_LIMIT})


@pytest.mark.parametrize("name", FILTERS)
def test_filter_keeps_a_value_within_a_factor(name: str) -> None:
    assert len(FILTERS[name]("\x00é" * 100)) <= 2 + 12 * 100
