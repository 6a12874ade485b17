"""A bundle's text that is read piece by piece says what it says as a whole."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import MalformedJson, parse, read_entries

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(-9, 9, places=2).map(str) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_entry = st.dictionaries(st.sampled_from(["resource", "request", "fullUrl", "x"]), _json, max_size=4)
_bundles = st.fixed_dictionaries(
    {"resourceType": st.just("Bundle")},
    optional={"entry": st.lists(_entry | _json, max_size=4) | _json, "type": _text, "a": _json},
)


def whole(data: bytes) -> dict[str, Any]:
    """Return what the pieces of a text say together."""
    members: dict[str, Any] = {}
    entries = [entry for entry, _ in read_entries(data, limit=10_000, members=members)]
    return {**members, "entry": entries} if entries else members


def said(data: bytes) -> dict[str, Any]:
    content = parse(data, limit=10_000)
    return {name: value for name, value in content.items() if name != "entry" or value != []}


@given(_bundles, st.sampled_from([None, 1]), st.booleans())
def test_the_pieces_of_a_bundle_say_what_the_whole_says(
    content: Any, indent: int | None, ascii_: bool
) -> None:
    data = json.dumps(content, indent=indent, ensure_ascii=ascii_).encode("utf-8", "replace")
    assert whole(data) == said(data)


@given(_bundles, st.integers(0, 400), st.sampled_from([*'{}[]",:0a\\ ', "", '"entry":[],', "NaN"]))
def test_what_is_no_json_is_refused_at_the_same_place(content: Any, place: int, put: str) -> None:
    text = json.dumps(content)
    data = (text[: place % len(text)] + put + text[place % len(text) + 1 :]).encode()
    expected: Any
    found: Any
    try:
        expected = said(data)
    except MalformedJson as refusal:
        expected = refusal.places
    try:
        found = whole(data)
    except MalformedJson as refusal:
        found = refusal.places
    assert found == expected


def test_each_resources_text_is_its_own() -> None:
    data = b'{ "entry" : [ {"resource": {"a": 72.50 } , "x":1},{"y":[]} , 7 ] ,"type":"batch"}'
    assert [text for _, text in read_entries(data, limit=1000, members={})] == ['{"a": 72.50 }', None, None]
