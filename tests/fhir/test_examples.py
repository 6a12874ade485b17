"""Everything that HL7 publishes as an example of R4 is accepted, but for what is not valid R4."""

import pytest

from clinic_net.fhir import ResourceTooLarge, check, parse, read_xml, to_xml
from tests.fhir.exactness import exactly
from tests.fhir.examples import DEFINITIONS, FOLDER, INVALID, TOO_LARGE, examples


def test_every_published_example_is_accepted_but_for_those_that_are_not_valid() -> None:
    refused = {example.name for example in examples() if check(parse(example.text))}
    assert refused == set(INVALID)


@pytest.mark.parametrize("name", sorted(TOO_LARGE))
def test_a_resource_of_more_than_four_megabytes_is_refused_unread(name: str) -> None:
    with pytest.raises(ResourceTooLarge):
        parse((FOLDER / f"{name}.json").read_bytes())


def test_every_published_example_goes_through_xml_and_back_without_loss() -> None:
    lost = [
        example.name
        for example in examples()
        if example.rtype not in DEFINITIONS and example.name not in INVALID
        if exactly(read_xml(to_xml(example.text), limit=2**24)) != exactly(example.text)
    ]
    assert lost == []
