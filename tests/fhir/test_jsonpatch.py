"""JSON Patch: the rules of RFC 6902 that examples over HTTP do not reach."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import InvalidPatch, MalformedJson, MalformedPatch, read_json_patch


def patched(content: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    return read_json_patch(json.dumps(operations).encode())(content)


def test_escaped_names_are_found() -> None:
    assert patched({"a/b": {"m~n": 1}}, {"op": "remove", "path": "/a~1b/m~0n"}) == {"a/b": {}}
    assert patched({"~1": 1}, {"op": "remove", "path": "/~01"}) == {}


def test_a_test_compares_numbers_by_value_and_nothing_else_as_numbers() -> None:
    same = {"op": "test", "path": "/a", "value": 1}
    assert patched({"a": Decimal("1.0")}, same) == {"a": Decimal("1.0")}
    for other in (True, "1", None, [1], {"a": 1}):
        with pytest.raises(InvalidPatch):
            patched({"a": other}, same)


def test_a_copy_is_a_value_of_its_own() -> None:
    found = patched(
        {"a": {"x": [1]}},
        {"op": "copy", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/b/x/-", "value": 2},
    )
    assert found == {"a": {"x": [1]}, "b": {"x": [1, 2]}}


def test_a_value_may_be_moved_onto_itself() -> None:
    assert patched({"a": [1, 2]}, {"op": "move", "from": "/a/0", "path": "/a/0"}) == {"a": [1, 2]}


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "/", "~"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_paths = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
_operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": _paths},
    optional={"value": _json, "from": _paths},
)


@given(st.dictionaries(st.sampled_from(["a", "b", "/", "~"]), _json), st.lists(_operations, max_size=5))
def test_any_patch_gives_an_object_or_a_refusal(content: dict[str, Any], operations: list[Any]) -> None:
    try:
        found = patched(content, *operations)
    except (InvalidPatch, MalformedPatch, MalformedJson):
        return
    assert isinstance(found, dict)
    json.dumps(found)


@pytest.mark.parametrize("holder", [None, 1, "x", True])
def test_nothing_is_removed_from_what_has_no_members(holder: Any) -> None:
    with pytest.raises(InvalidPatch):
        patched({"a": holder}, {"op": "remove", "path": "/a/b"})


@given(st.dictionaries(st.sampled_from(["a", "b"]), _json), _json)
def test_what_is_added_is_there_and_what_is_removed_is_not(content: dict[str, Any], value: Any) -> None:
    before = json.dumps(content)
    new = {"op": "add", "path": "/new", "value": value}
    added = patched(json.loads(before), new, {"op": "test", "path": "/new", "value": value})
    assert added == {**content, "new": value}
    assert patched(added, {"op": "remove", "path": "/new"}) == content
