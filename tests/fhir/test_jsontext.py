"""The received text is the record: what is refused, and that stamping leaves the rest alone."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir.errors import MalformedJson, ResourceTooLarge
from clinic_net.fhir.jsontext import MAX_DEPTH, MAX_LOCATED, parse, stamp, write

REFUSED = {
    "nothing": b"",
    "an array": b"[]",
    "a string": b'"x"',
    "two documents": b"{}{}",
    "a trailing comma": b'{"a":1,}',
    "a comment": b'{"a":1}//',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "an overflowing number": b'{"a":1e400}',
    "a vanishing number": b'{"a":1e-99999}',
    "an absurd exponent": b'{"a":1e99999999999999999999}',
    "a zero with an absurd scale": b'{"a":0e-99999}',
    "a number of 5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "a repeated member": b'{"a":1,"b":{"c":1,"c":2}}',
    "a member repeated by an escape": b'{"a":1,"\\u0061":2}',
    "an escaped NUL": b'{"a":"x\\u0000"}',
    "a raw NUL": b'{"a":"x\x00"}',
    "half of a surrogate pair": b'{"a":"\\ud83d"}',
    "a reversed surrogate pair": b'{"a":"\\udc00\\ud83d"}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\xbd"}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "deep arrays": b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    "deep mixed nesting": b'{"a":[' * 40 + b"1" + b"]}" * 40,
    "depth without end": b'{"a":' + b"[" * 100_000,
    "a member without a value": b'{"a"}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_text_that_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse(text)


def test_more_bytes_than_the_limit_are_refused() -> None:
    with pytest.raises(ResourceTooLarge):
        parse(b'{"a":1}', limit=6)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{\n "a": 1,\n "a": 2}', "3:2"),
        (b'{"a":"\xc3\xa9",\n"b":1e999}', "2:5"),
        (b'{\n"a":"\\\\ \\u0000"}', "2:9"),
        (b'{"a":\n tru}', "2:2"),
        (b'{"a":NaN}', "1:6"),
        (b'{"a":[{"x":"a","y":"a"}, {"x":1,"x":2}]}', "1:33"),
    ],
)
def test_a_refusal_says_the_line_and_the_column(text: bytes, place: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        parse(text)
    assert caught.value.places[0].path == place
    assert caught.value.code == "malformed-json"


def test_a_refusal_does_not_quote_the_content() -> None:
    with pytest.raises(MalformedJson) as caught:
        parse('{"name":"Nguyễn","name":"Trần"}'.encode())
    assert "Nguy" not in repr(caught.value.args) + repr(caught.value.places)


@pytest.mark.parametrize(
    "text", ["72.50", "0.010", "1.10", "-0.0", "-0", "12345678901234567.123456789", "5.00"]
)
def test_a_decimal_keeps_its_digits(text: str) -> None:
    value = parse(f'{{"a":{text}}}'.encode())["a"]
    assert isinstance(value, Decimal)
    assert str(value) == text
    assert write({"a": value}) == f'{{"a":{text}}}'.encode()


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert parse(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)
    with pytest.raises(MalformedJson):
        parse(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1))


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    assert parse(json.dumps({"a": "[{" * 1000, "b": '"[' * 100}).encode())


def test_emoji_and_escaped_pairs_are_read() -> None:
    assert parse(b'{"a":"\\ud83d\\ude00","b":"\\\\ud83d"}') == {"a": "😀", "b": "\\ud83d"}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(text: bytes) -> None:
    with suppress(MalformedJson):
        parse(text)


@given(st.text(alphabet='{}[]",:\\u0d8ae1.-tfn \n', max_size=60))
def test_nearly_json_is_read_as_the_standard_library_does_or_refused(text: str) -> None:
    try:
        value = parse(text.encode())
    except MalformedJson:
        return
    assert value == json.loads(text, parse_float=Decimal)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts | st.decimals(-1000, 1000, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
metas = st.dictionaries(
    st.sampled_from(["versionId", "lastUpdated", "profile", "tag", "security", "source"]), values, max_size=5
)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    members = draw(st.dictionaries(texts.filter(lambda t: t not in ("id", "meta")), values, max_size=4))
    if draw(st.booleans()):
        members["resourceType"] = "Patient"
    if draw(st.booleans()):
        members["id"] = draw(texts)
    if draw(st.booleans()):
        members["meta"] = draw(metas)
    return dict(draw(st.permutations(list(members.items()))))


@given(resources(), st.booleans(), texts)
def test_stamped_text_reads_as_the_resource_with_new_id_and_meta(
    resource: dict[str, Any], ascii_only: bool, identity: str
) -> None:
    spaced = json.dumps(resource, default=str, indent=1, ensure_ascii=ascii_only)
    before = parse(spaced.encode())
    after = parse(
        stamp(spaced.encode(), id=identity, version_id="7", last_updated="2026-05-01T08:30:00.123Z")
    )
    meta = {**before.get("meta", {}), "versionId": "7", "lastUpdated": "2026-05-01T08:30:00.123Z"}
    assert after == {**before, "id": identity, "meta": meta}


@given(resources())
def test_stamping_twice_is_stamping_once(resource: dict[str, Any]) -> None:
    text = write(resource)
    once = stamp(text, id="a", version_id="1", last_updated="2026-05-01T08:30:00Z")
    assert stamp(once, id="a", version_id="1", last_updated="2026-05-01T08:30:00Z") == once


STAMPED = [
    ("{}", '{"id":"n","meta":{"versionId":"2","lastUpdated":"T"}}'),
    (' { "status" : "x" } ', ' {"id":"n","meta":{"versionId":"2","lastUpdated":"T"}, "status" : "x" } '),
    (
        '{"a":72.50, "resourceType" : "Observation" ,"b":"\\u00e9\\/"}',
        '{"a":72.50, "resourceType" : "Observation","id":"n","meta":{"versionId":"2","lastUpdated":"T"} '
        ',"b":"\\u00e9\\/"}',
    ),
    (
        '{"meta":{ "profile":["p"],"versionId":"1" },"id" : "old","x":1e2}',
        '{"meta":{"lastUpdated":"T", "profile":["p"],"versionId":"2" },"id" : "n","x":1e2}',
    ),
    (
        '{"resourceType":"Patient","contained":[{"id":"c","meta":{}}],"meta":{}}',
        '{"resourceType":"Patient","id":"n","contained":[{"id":"c","meta":{}}],'
        '"meta":{"versionId":"2","lastUpdated":"T"}}',
    ),
    (
        '{"\\u0069d":"old","meta":{"lastUpdated":"U","_lastUpdated":{"id":"e"},"versionId":"1"}}',
        '{"\\u0069d":"n","meta":{"lastUpdated":"T","_lastUpdated":{"id":"e"},"versionId":"2"}}',
    ),
]


@pytest.mark.parametrize(("received", "stored"), STAMPED)
def test_every_byte_but_id_and_meta_stays(received: str, stored: str) -> None:
    assert stamp(received.encode(), id="n", version_id="2", last_updated="T").decode() == stored


def test_a_meta_that_is_no_object_is_refused() -> None:
    with pytest.raises(MalformedJson):
        stamp(b'{"meta":[]}', id="n", version_id="2", last_updated="T")


def test_a_repeated_member_far_into_a_long_text_is_refused_without_a_place() -> None:
    for filler in range(MAX_LOCATED - 12, MAX_LOCATED + 4):
        text = b'{"x":"' + b"y" * filler + b'","ab:cd":1,"ab:cd":2}'
        with pytest.raises(MalformedJson):
            parse(text)
