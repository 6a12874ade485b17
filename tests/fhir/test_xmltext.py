"""XML: every element of every resource type there and back, and texts of all kinds."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import MalformedXml, parse, read_xml, to_xml, write
from clinic_net.fhir.definitions import resource_types
from clinic_net.fhir.tables import Table, tables
from clinic_net.fhir.xmltext import XHTML

SAMPLES: dict[str, Any] = {
    "boolean": True,
    "integer": -1,
    "positiveInt": 3,
    "unsignedInt": 0,
    "decimal": Decimal("72.500"),
    "xhtml": f'<div xmlns="{XHTML}">a</div>',
}


def full(table: Table, room: int) -> dict[str, Any]:
    """An object with every element of a type, as deep as there is room."""
    content: dict[str, Any] = {}
    for member, slot in table.slots.items():
        if member == "resourceType" and table.name in resource_types():
            content[member] = table.name
        elif slot.test is not None:
            value = SAMPLES.get(slot.primitive, "x")
            content[member] = [value, value] if slot.many else value
        elif slot.companion and slot.many and room:
            content[member] = [None, {"id": "i"}]
        elif slot.resource and room:
            inner: Any = {"resourceType": "Basic", "id": "b"}
            content[member] = [inner, inner] if slot.many else inner
        elif slot.table is not None and not slot.companion and room:
            inner = full(slot.table, room - 1)
            content[member] = [inner, inner] if slot.many else inner
    return content


@pytest.mark.parametrize("rtype", sorted(resource_types()))
def test_every_element_of_every_type_goes_there_and_back(rtype: str) -> None:
    content = full(tables()[rtype], 1)
    assert parse(read_xml(to_xml(write(content)), limit=2**24), limit=2**24) == parse(
        write(content), limit=2**24
    )


_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(_texts | st.sampled_from(["a\nb", "\t", "<&>\"'", "]]>", " x "]))
def test_a_text_keeps_its_characters(text: str) -> None:
    content = {"resourceType": "Basic", "code": {"text": text}}
    assert parse(read_xml(to_xml(write(content)))) == content


@pytest.mark.parametrize(
    "number",
    [
        "72.50",
        "1E2",
        "1e+02",
        "0.0000001",
        "-0",
        "-0.0",
        "0.010",
        "12345678901234567890.0123456789",
        "1.0E-30",
    ],
)
def test_a_number_keeps_its_text_both_ways(number: str) -> None:
    text = b'{"resourceType":"Basic","extension":[{"url":"u","valueDecimal":' + number.encode() + b"}]}"
    assert read_xml(to_xml(text)) == text


def test_a_carriage_return_in_a_narrative_stays() -> None:
    div = f'<div xmlns="{XHTML}">a&#13;b &lt;c</div>'
    xml = to_xml(write({"resourceType": "Basic", "text": {"status": "generated", "div": div}}))
    assert b"a&#13;b" in xml
    assert parse(read_xml(xml))["text"]["div"] == div


def test_the_place_of_a_schema_is_left_out() -> None:
    schema = b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir a.xsd"'
    assert read_xml(b'<Basic xmlns="http://hl7.org/fhir" ' + schema + b"/>") == b'{"resourceType":"Basic"}'


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=7))
def test_a_decimal_keeps_its_digits(number: Decimal) -> None:
    content = {"resourceType": "Basic", "extension": [{"url": "u", "valueDecimal": number}]}
    assert str(parse(read_xml(to_xml(write(content))))["extension"][0]["valueDecimal"]) == str(number)


@given(
    st.binary(max_size=200) | _texts.map(lambda text: f"<Basic xmlns='http://hl7.org/fhir'>{text}".encode())
)
def test_anything_else_is_refused_and_never_breaks(data: bytes) -> None:
    with pytest.raises(MalformedXml):
        read_xml(data)
