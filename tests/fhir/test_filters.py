"""The grammar of ``_filter``, and what it asks by the type of each parameter."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import parse_search
from clinic_net.fhir.criteria import DateCriterion, StringCriterion, TokenCriterion, ValueSetCriterion
from clinic_net.fhir.definitions import search_parameters
from clinic_net.fhir.errors import (
    InvalidSearchValue,
    TooManySearchTerms,
    UnknownSearchParameter,
    UnsupportedSearch,
)
from clinic_net.fhir.filters import (
    MAX_DEPTH,
    MAX_TESTS,
    OPERATORS,
    Comparison,
    Filter,
    FilterSyntaxError,
    Joined,
    Negated,
    Step,
    read_filter,
)
from clinic_net.fhir.search import Chain, Clause, Either, Every, Link, Without
from clinic_net.kernel.errors import Refusal


def one(name: str, operator: str = "eq", value: str = "x") -> Comparison:
    return Comparison((Step(name),), operator, value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("name eq x", one("name")),
        ('name co "pet"', one("name", "co", "pet")),
        ('name eq "a \\"b\\" (c)]"', one("name", "eq", 'a "b" (c)]')),
        ("  ( name eq x )  ", one("name")),
        ("not (name eq x)", Negated(one("name"))),
        ("not(name eq x)", Negated(one("name"))),
        ("not eq x", one("not")),
        ("a eq x and b eq x", Joined("and", one("a"), one("b"))),
        ("a eq x or b eq x and c eq x", Joined("and", Joined("or", one("a"), one("b")), one("c"))),
        ("a eq x or (b eq x and c eq x)", Joined("or", one("a"), Joined("and", one("b"), one("c")))),
        (
            "a eq x and not (b eq x) or c eq x",
            Joined("or", Joined("and", one("a"), Negated(one("b"))), one("c")),
        ),
        ("subject.name co pet", Comparison((Step("subject"), Step("name")), "co", "pet")),
        (
            "related[type eq has-component].target re Observation/4",
            Comparison(
                (Step("related", one("type", "eq", "has-component")), Step("target")), "re", "Observation/4"
            ),
        ),
        ("code eq http://loinc.org|1234-5", one("code", "eq", "http://loinc.org|1234-5")),
        ("birthdate ge 2014-10-10", one("birthdate", "ge", "2014-10-10")),
    ],
)
def test_a_filter_is_read_from_left_to_right(text: str, tree: Filter) -> None:
    assert read_filter(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name eq",
        "name eq ",
        "name xx x",
        "name eq x and",
        "name eq x and or a eq x",
        "name eq x b eq x",
        "(name eq x",
        "name eq x)",
        'name eq "x',
        'name eq "\\q"',
        "a[b eq x] eq y",
        "a[b eq x.c eq y",
        "a.[b eq x].c eq y",
        ".a eq x",
        "(" * (MAX_DEPTH + 2) + "a eq x" + ")" * (MAX_DEPTH + 2),
        " and ".join(["a eq x"] * (MAX_TESTS + 1)),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(FilterSyntaxError):
        read_filter(text)


names = st.from_regex(r"[a-z_][a-z0-9\-]{0,8}", fullmatch=True)
tests = st.builds(
    Comparison,
    st.lists(st.builds(Step, names), min_size=1, max_size=3).map(tuple),
    st.sampled_from(sorted(OPERATORS)),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12),
)
trees: st.SearchStrategy[Filter] = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds(Negated, inner), st.builds(Joined, st.sampled_from(["and", "or"]), inner, inner)
    ),
    max_leaves=8,
)


def _written(tree: Filter) -> str:
    match tree:
        case Negated(inner):
            return f"not ({_written(inner)})"
        case Joined(word, left, right):
            return f"({_written(left)}) {word} ({_written(right)})"
        case Comparison(path, operator, value):
            return (
                f"{'.'.join(step.name for step in path)} {operator} {json.dumps(value, ensure_ascii=False)}"
            )


@given(trees)
def test_a_written_filter_is_read_as_it_was_meant(tree: Filter) -> None:
    assert read_filter(_written(tree)) == tree


@given(st.text(st.sampled_from(list('abn eqnotandor()[]."|\\x1-')), max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with suppress(FilterSyntaxError):
        assert isinstance(read_filter(text), Comparison | Joined | Negated)


def ask(resource_type: str, text: str) -> Link:
    (link,) = parse_search(resource_type, [("_filter", text)]).links
    return link


def clause(resource_type: str, text: str) -> Clause:
    link = ask(resource_type, text)
    assert isinstance(link, Every)
    (found,) = link.parts
    assert isinstance(found, Clause)
    return found


@pytest.mark.parametrize(
    ("text", "modifier"),
    [
        ("code eq 8867-4", ""),
        ("code sb http://loinc.org|8867-4", "above"),
        ("code ss http://loinc.org|8867-4", "below"),
        ("code in http://x.example/set", "in"),
        ("code ni http://x.example/set", "not-in"),
        ("subject re Patient/1", ""),
        ("value-string eq x", "equals"),
        ("value-string sw x", ""),
        ("value-string ew x", "ends"),
        ("value-string co x", "contains"),
        ("date po 2026-05", "overlaps"),
        ("date gt 2026-05", ""),
        ("value-quantity le 5.4|http://unitsofmeasure.org|mg", ""),
        ("_lastUpdated ge 2026", ""),
        ("_id eq abc", ""),
    ],
)
def test_an_operator_becomes_the_modifier_that_means_it(text: str, modifier: str) -> None:
    assert clause("Observation", text).modifier == modifier


def test_values_are_read_by_the_type_of_their_parameter() -> None:
    assert clause("Observation", "code in http://x.example/set").values == (
        ValueSetCriterion("http://x.example/set"),
    )
    assert clause("Patient", "gender eq male").values == (TokenCriterion(None, "male"),)
    (text,) = clause("Patient", 'name eq "An, Hoà"').values
    assert isinstance(text, StringCriterion)
    assert text.text.folded == "an, hoa"
    (date,) = clause("Patient", "birthdate po 2026").values
    assert isinstance(date, DateCriterion)
    assert date.prefix == "po"


def test_presence_and_difference() -> None:
    assert clause("Patient", "gender pr true") == Clause("gender", "token", "missing", missing=False)
    assert clause("Patient", "gender pr false") == Clause("gender", "token", "missing", missing=True)
    different = ask("Patient", "gender ne male")
    assert isinstance(different, Every)
    assert isinstance(different.parts[1], Without)


def test_a_path_leads_through_references_each_of_which_may_be_narrowed() -> None:
    link = ask("Observation", "patient[gender eq female].organization.name co tram")
    assert isinstance(link, Chain)
    ((rtype, inner),) = link.targets
    assert rtype == "Patient"
    assert isinstance(inner, Every)
    assert isinstance(inner.parts[1], Chain)


def test_a_search_tells_which_types_its_filter_reaches() -> None:
    search = parse_search("Observation", [("_filter", "code eq x or patient.name co an")])
    (link,) = search.links
    assert isinstance(link, Either)
    assert search.reaches == {"Patient"}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("nickname eq x", UnknownSearchParameter),
        ("gender gt male", UnsupportedSearch),
        ("gender co ma", UnsupportedSearch),
        ("birthdate co 2026", UnsupportedSearch),
        ("birthdate in x", UnsupportedSearch),
        ("name gt a", UnsupportedSearch),
        ("organization sw Organization", UnsupportedSearch),
        ("name.given eq x", UnsupportedSearch),
        ("birthdate gt soon", InvalidSearchValue),
        ("birthdate po gt2026", InvalidSearchValue),
        ("gender pr maybe", InvalidSearchValue),
        ("name eq", InvalidSearchValue),
        ("general-practitioner[name co a] eq x", InvalidSearchValue),
        ("_query eq x", UnsupportedSearch),
        ("link.link.link.link.link.name eq x", TooManySearchTerms),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_a_type_cannot_do_is_refused_even_when_lenient(
    text: str, refusal: type[Refusal], lenient: bool
) -> None:
    with pytest.raises(refusal):
        parse_search(
            "Patient", [("_filter", text)], lenient=lenient and refusal is not UnknownSearchParameter
        )


known = st.sampled_from(sorted(search_parameters("Patient")))


@given(
    st.recursive(
        st.builds(
            Comparison,
            st.lists(st.builds(Step, known), min_size=1, max_size=3).map(tuple),
            st.sampled_from(sorted(OPERATORS)),
            st.sampled_from(["true", "2026-05", "5", "male", "Patient/1", "http://x.example/a|1", "x y", ""]),
        ),
        lambda inner: st.one_of(
            st.builds(Negated, inner), st.builds(Joined, st.sampled_from(["and", "or"]), inner, inner)
        ),
        max_leaves=4,
    )
)
def test_any_filter_on_real_parameters_is_understood_or_refused(tree: Filter) -> None:
    with suppress(Refusal):
        (link,) = parse_search(
            "Patient", [("_filter", _written(tree))], base_url="http://hub.test/fhir"
        ).links
        assert isinstance(link, Every | Either | Without | Chain)
