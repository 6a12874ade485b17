"""JSON Merge Patch against the examples of its standard."""

import json
from decimal import Decimal
from typing import Any

import pytest

from clinic_net.fhir import MalformedPatch, parse, read_merge_patch

RFC_7396_EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""RFC 7396 appendix A, those whose target and patch are objects."""


@pytest.mark.parametrize(("target", "change", "result"), RFC_7396_EXAMPLES)
def test_the_standards_examples_hold(target: Any, change: Any, result: Any) -> None:
    before = json.dumps(target)
    assert read_merge_patch(json.dumps(change).encode())(target) == result
    assert json.dumps(target) == before


def test_numbers_keep_their_digits() -> None:
    patched = read_merge_patch(b'{"b":1.50}')(parse(b'{"a":72.50}'))
    assert patched == {"a": Decimal("72.50"), "b": Decimal("1.50")}
    assert [str(value) for value in patched.values()] == ["72.50", "1.50"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"a"'])
def test_what_is_no_object_is_no_patch_of_a_resource(body: bytes) -> None:
    with pytest.raises(MalformedPatch):
        read_merge_patch(body)
