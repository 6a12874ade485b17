"""Index rows that are put together from remembered fragments are those that are made at once."""

from clinic_net.fhir import index, parse
from clinic_net.records.fragments import Fragments
from clinic_net.records.index import rows_of
from clinic_net.records.keys import Keys
from tests.fhir.generate import texts

KEYS = Keys(b"k" * 32)


def test_a_resource_of_every_type_has_the_same_rows_either_way_and_again_from_memory() -> None:
    fragments = Fragments(KEYS)
    for rtype, seed, text in texts(range(11, 14)):
        resource = parse(text)
        made = rows_of(rtype, index(resource), KEYS)
        assert fragments.rows(resource) == made, (rtype, seed)
        assert fragments.rows(resource) == made, (rtype, seed, "remembered")


def test_what_one_person_said_is_not_told_of_another() -> None:
    fragments = Fragments(KEYS)
    first = {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/a"}}
    second = {**first, "subject": {"reference": "Patient/b"}}

    fragments.rows(first)

    assert fragments.rows(second) == rows_of("Observation", index(second), KEYS)
    assert fragments.rows(second) != fragments.rows(first)
