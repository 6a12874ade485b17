"""The search grammar: strict and lenient, every type of parameter, and nothing but promised refusals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import parse_search
from clinic_net.fhir.criteria import (
    CompositeCriterion,
    DateCriterion,
    NumberCriterion,
    QuantityCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    UriCriterion,
    split,
    unescape,
)
from clinic_net.fhir.dates import date_range
from clinic_net.fhir.definitions import resource_types, search_parameters
from clinic_net.fhir.errors import (
    InvalidSearchValue,
    TooManySearchTerms,
    UnknownResourceType,
    UnknownSearchParameter,
    UnsupportedSearch,
)
from clinic_net.fhir.index import uncompiled
from clinic_net.fhir.search import Chain, Clause, Has, Include, Search, Sort
from clinic_net.fhir.search_terms import types_of
from clinic_net.fhir.values import Text
from clinic_net.kernel.errors import Refusal


def ask(resource_type: str, *params: tuple[str, str], lenient: bool = False) -> Search:
    return parse_search(resource_type, params, lenient=lenient, base_url="https://hub.example/fhir")


def clause(resource_type: str, name: str, value: str) -> Clause:
    (found,) = ask(resource_type, (name, value)).clauses
    return found


@pytest.mark.parametrize(
    ("value", "system", "code"),
    [
        ("8480-6", None, "8480-6"),
        ("http://loinc.org|8480-6", "http://loinc.org", "8480-6"),
        ("|8480-6", "", "8480-6"),
        ("http://loinc.org|", "http://loinc.org", None),
        ("a\\|b", None, "a|b"),
    ],
)
def test_tokens(value: str, system: str | None, code: str | None) -> None:
    assert clause("Observation", "code", value).values == (TokenCriterion(system, code),)


def test_commas_are_alternatives_unless_escaped() -> None:
    found = clause("Patient", "name", "Nguyễn\\, An,Trần")
    assert found.values == (
        StringCriterion(Text("nguyen, an", "Nguyễn, An")),
        StringCriterion(Text("tran", "Trần")),
    )


def test_repeated_parameters_are_joined_by_and() -> None:
    assert len(ask("Patient", ("name", "an"), ("name", "nguyen")).clauses) == 2


@pytest.mark.parametrize("modifier", ["exact", "contains", "missing"])
def test_modifiers_of_strings(modifier: str) -> None:
    found = clause("Patient", f"name:{modifier}", "true")
    assert found.modifier == modifier
    assert found.missing is (True if modifier == "missing" else None)


def test_not_and_identifier() -> None:
    assert clause("Patient", "gender:not", "male").modifier == "not"
    found = clause("Observation", "subject:identifier", "http://fhir.hl7.org.vn/core/sid/cccd|001190000001")
    assert found.values == (TokenCriterion("http://fhir.hl7.org.vn/core/sid/cccd", "001190000001"),)


@pytest.mark.parametrize(("value", "prefix"), [("ge2026-05", "ge"), ("2026-05", "eq"), ("ap2026-05", "ap")])
def test_dates(value: str, prefix: str) -> None:
    assert clause("Observation", "date", value).values == (DateCriterion(prefix, *date_range("2026-05")),)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("-5.4", "-5.45", "-5.35"),
    ],
)
def test_a_number_is_as_precise_as_it_was_written(value: str, low: str, high: str) -> None:
    (found,) = clause("RiskAssessment", "probability", f"lt{value}").values
    assert found == NumberCriterion("lt", Decimal(value), Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    ("value", "system", "code"),
    [
        ("gt5.4|http://unitsofmeasure.org|mg", "http://unitsofmeasure.org", "mg"),
        ("5.4||mg", None, "mg"),
        ("5", None, None),
    ],
)
def test_quantities(value: str, system: str | None, code: str | None) -> None:
    (found,) = clause("Observation", "value-quantity", value).values
    assert isinstance(found, QuantityCriterion)
    assert (found.system, found.code) == (system, code)


@pytest.mark.parametrize(
    ("name", "value", "keys"),
    [
        ("subject", "Patient/1", ("Patient/1",)),
        ("patient", "1", ("Patient/1",)),
        ("subject", "1", ("Device/1", "Group/1", "Location/1", "Patient/1")),
        ("subject:Patient", "1", ("Patient/1",)),
        ("subject", "https://hub.example/fhir/Patient/1/_history/4", ("Patient/1",)),
        ("subject", "https://other.example/fhir/Patient/1", ("https://other.example/fhir/Patient/1",)),
    ],
)
def test_references(name: str, value: str, keys: tuple[str, ...]) -> None:
    assert clause("Observation", name, value).values == (ReferenceCriterion(keys),)


def test_uris_and_composites() -> None:
    assert clause("ValueSet", "url", "http://x.example/a").values == (UriCriterion("http://x.example/a"),)
    (found,) = clause("Observation", "component-code-value-quantity", "http://loinc.org|8480-6$gt150").values
    assert isinstance(found, CompositeCriterion)
    assert found.parts[0] == TokenCriterion("http://loinc.org", "8480-6")
    assert isinstance(found.parts[1], QuantityCriterion)


def test_result_parameters() -> None:
    found = ask(
        "Observation",
        ("_count", "20"),
        ("_sort", "-date,_id"),
        ("_include", "Observation:subject:Patient"),
        ("_include:iterate", "Patient:organization"),
        ("_revinclude", "Provenance:target"),
        ("_total", "accurate"),
        ("_summary", "true"),
        ("_elements", "status,value,subject"),
        ("_format", "json"),
    )
    assert found.count == 20
    assert found.sort == [Sort("date", "date", True), Sort("_id", "token", False)]
    assert found.includes == [
        Include("Observation", "subject", "Patient", False),
        Include("Patient", "organization", None, True),
    ]
    assert found.revincludes == [Include("Provenance", "target", None, False)]
    assert (found.total, found.summary, found.elements) == (
        "accurate",
        "true",
        ["status", "value", "subject"],
    )
    assert found.clauses == []


def test_a_count_beyond_the_limit_is_lowered() -> None:
    assert ask("Patient", ("_count", "1000000000")).count == 1000


def test_a_value_set_of_the_standard_becomes_its_codes() -> None:
    inside = clause("Patient", "gender:in", "http://hl7.org/fhir/ValueSet/administrative-gender")
    outside = clause("Patient", "gender:not-in", "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")

    assert (inside.modifier, outside.modifier) == ("", "not")
    assert TokenCriterion("http://hl7.org/fhir/administrative-gender", "female") in inside.values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("near", "20.9"),
        ("near", "20.9|x"),
        ("near", "95|107"),
        ("near", "20.9|107.1|-3|km"),
        ("near", "20.9|107.1|3|parsec"),
        ("near", "20.9|107.1|3|km|x"),
        ("identifier:of-type", "MR|1"),
        ("identifier:of-type", "http://x.example||1"),
    ],
)
def test_places_and_typed_identifiers_have_a_form(name: str, value: str) -> None:
    with pytest.raises(InvalidSearchValue):
        ask("Location", (name, value))


def test_a_chain_leads_through_every_type_that_understands_it() -> None:
    (typed,) = ask("Observation", ("subject:Patient.name", "an")).links
    (free,) = ask("Observation", ("subject.name", "an")).links
    (long,) = ask("Observation", ("patient.organization.name", "an")).links

    assert isinstance(typed, Chain)
    assert [rtype for rtype, _ in typed.targets] == ["Patient"]
    assert isinstance(free, Chain)
    assert [rtype for rtype, _ in free.targets] == ["Location", "Patient"]
    assert set(types_of(long)) == {"Patient", "Organization"}


def test_has_asks_what_refers_here() -> None:
    found = ask(
        "Patient", ("_has:Observation:patient:code", "8867-4"), ("_has:Group:member:_has:List:item:_id", "1")
    )

    assert isinstance(found.links[0], Has)
    assert (found.links[0].source, found.links[0].parameter) == ("Observation", "patient")
    assert found.reaches == {"Observation", "Group", "List"}


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("subject:Medication.name", InvalidSearchValue),
        ("subject.nothing", UnknownSearchParameter),
        ("subject:Patient.birthdate", InvalidSearchValue),
        ("code.text", UnsupportedSearch),
        ("_has:Observation:patient", InvalidSearchValue),
        ("_has:Bogus:patient:code", InvalidSearchValue),
        ("_has:Encounter:diagnosis:code", InvalidSearchValue),
        ("_has:Observation:code:code", UnsupportedSearch),
        (".".join(["part-of:Observation"] * 10 + ["code"]), (InvalidSearchValue, TooManySearchTerms)),
        (".".join(["has-member:Observation"] * 10 + ["code"]), TooManySearchTerms),
        ("_has:Observation:has-member:" * 10 + "code", TooManySearchTerms),
    ],
)
def test_chains_that_lead_nowhere_or_too_far_are_refused(
    name: str, refusal: type[Refusal] | tuple[type[Refusal], ...]
) -> None:
    with pytest.raises(refusal):
        ask("Observation", (name, "x y z"))


def test_an_unknown_parameter_is_refused_by_name_or_reported() -> None:
    with pytest.raises(UnknownSearchParameter) as caught:
        ask("Patient", ("nickname", "x"))
    assert caught.value.places[0].path == "nickname"
    found = ask("Patient", ("nickname", "x"), ("name", "an"), lenient=True)
    assert found.ignored == ["nickname"]
    assert found.applied == [("name", "an")]


def test_what_is_not_supported_is_refused_or_reported() -> None:
    for name, value in (
        ("_query", "x"),
        ("_contained", "true"),
        ("_contained", "both"),
        ("_type", "Patient"),
    ):
        with pytest.raises(UnsupportedSearch):
            ask("Patient", (name, value))
        assert ask("Patient", (name, value), lenient=True).ignored == [name]


@pytest.mark.parametrize(
    "name",
    [
        "name:phonetic",
        "name:below",
        "name:not",
        "gender:exact",
        "gender:contains",
        "birthdate:exact",
        "name:",
        "organization:contains",
        "organization:text",
        "organization:Patient:exact",
        "_text:exact",
        "_content:contains",
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_an_unsupported_modifier_is_always_refused(name: str, lenient: bool) -> None:
    with pytest.raises(UnsupportedSearch):
        ask("Patient", (name, "x"), lenient=lenient)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "yesterday"),
        ("date", "2026-02-31"),
        ("date", ""),
        ("code", "a|b|c"),
        ("code", "|"),
        ("code", "a,,b"),
        ("value-quantity", "5|mg"),
        ("value-quantity", "abc"),
        ("value-quantity", "1e999999999"),
        ("subject", "Bogus/1"),
        ("subject", "Medication/1"),
        ("subject", "Patient/a b"),
        ("subject:Medication", "1"),
        ("subject", "#a"),
        ("component-code-value-quantity", "a"),
        ("code:missing", "maybe"),
        ("code", "a\x00b"),
        ("code", "\ud800"),
        ("code", "a" * 10_000),
        ("_count", "-1"),
        ("_count", "many"),
        ("_sort", "nothing"),
        ("_sort", "date,date,date,date,date,date"),
        ("_total", "some"),
        ("_summary", "some"),
        ("_elements", "nothing"),
        ("_include", "Observation:code"),
        ("_include", "Bogus:subject"),
        ("_include", "Observation"),
        ("_include", "Observation:subject:Bogus"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidSearchValue) as caught:
        ask("Observation", (name, value))
    assert caught.value.code == "invalid-search-value"
    assert caught.value.places


def test_searches_are_bounded() -> None:
    with pytest.raises(TooManySearchTerms):
        ask("Patient", *[("name", "an")] * 51)
    with pytest.raises(TooManySearchTerms):
        ask("Patient", ("name", "an," * 100 + "an"))


def test_an_unknown_resource_type_is_refused() -> None:
    with pytest.raises(UnknownResourceType):
        ask("Bogus")


def test_a_bare_id_needs_a_type_where_anything_may_be_meant() -> None:
    with pytest.raises(InvalidSearchValue):
        ask("Provenance", ("target", "1"))


def test_refusals_do_not_quote_the_caller() -> None:
    for name, value in (("Nguyễn Văn An", "x"), ("birthdate", "001190000001")):
        with pytest.raises(Refusal) as caught:
            ask("Patient", (name, value))
        said = caught.value.message + repr(caught.value.places)
        assert "Nguy" not in said
        assert "001190000001" not in said


@given(st.lists(st.text(alphabet="ab\\,$|", max_size=8), min_size=1, max_size=4))
def test_escaped_parts_survive_splitting(parts: list[str]) -> None:
    escaped = ["".join(f"\\{c}" if c in "\\,$|" else c for c in part) for part in parts]
    assert [unescape(part) for part in split(",".join(escaped), ",")] == parts


names = st.sampled_from(["Patient", "Observation", "Encounter", "Location", "Bundle", "ValueSet"]).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(sorted(search_parameters(name))))
)


@given(
    names,
    st.sampled_from(["", ":missing", ":exact", ":not", ":identifier", ":Patient", ":", ":x.y"]),
    st.text(max_size=12) | st.text(alphabet="ge0123456789-T:|,$\\/.", max_size=16),
    st.booleans(),
)
def test_any_query_is_understood_or_refused(
    named: tuple[str, str], modifier: str, value: str, lenient: bool
) -> None:
    resource_type, code = named
    try:
        found = ask(resource_type, (code + modifier, value), lenient=lenient)
    except Refusal:
        return
    assert len(found.clauses) + len(found.ignored) == 1


def test_every_indexed_parameter_of_every_type_can_be_asked_whether_it_is_missing() -> None:
    for resource_type in resource_types():
        for code in search_parameters(resource_type).keys() - uncompiled(resource_type).keys():
            assert clause(resource_type, f"{code}:missing", "true").missing is True
