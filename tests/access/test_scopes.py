"""SMART scopes, read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.access import scopes
from clinic_net.access.errors import ScopeMalformed

ACTIONS = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda chosen: "".join(a for a in "cruds" if a in chosen)
)
TYPES = st.sampled_from(["*", "Patient", "Observation", "Encounter", "Task"])
SCOPE = st.builds(scopes.Scope, st.just("system"), TYPES, ACTIONS)
SCOPES = st.frozensets(SCOPE, max_size=6)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("system/*.cruds", "system/*.cruds"),
        ("system/Patient.rs", "system/Patient.rs"),
        ("system/Patient.read", "system/Patient.rs"),
        ("system/Patient.write", "system/Patient.cud"),
        ("system/*.*", "system/*.cruds"),
        ("system/Observation.s system/Patient.r", "system/Observation.s system/Patient.r"),
    ],
)
def test_both_versions_of_the_grammar_are_understood(text: str, means: str) -> None:
    assert scopes.render(scopes.parse(text)) == means


@pytest.mark.parametrize(
    "text",
    [
        "system/Patient.dus",
        "system/Patient.sr",
        "system/Patient.rr",
        "system/Patient.",
        "system/Patient",
        "system/.rs",
        "system/patient.rs",
        "system/*.rs?code=1",
        "system/Observation.rs?code:in=http://x",
        "patient/*.rs",
        "user/*.cruds",
        "openid",
        "system/Patient.rs  system/Task.r",
        " system/Patient.rs",
        "system/Patient.rs\n",
        "system/Patient.readwrite",
        "ｓystem/Patient.rs",
    ],
)
def test_what_is_not_in_the_grammar_or_cannot_be_enforced_is_refused(text: str) -> None:
    with pytest.raises(ScopeMalformed):
        scopes.parse(text)


@given(SCOPES)
def test_what_is_rendered_is_read_back(granted: frozenset[scopes.Scope]) -> None:
    assert scopes.parse(scopes.render(granted)) == granted


@given(
    SCOPES,
    SCOPES,
    st.sampled_from(["Patient", "Observation", "Encounter", "Task", "Flag"]),
    st.sampled_from("cruds"),
)
def test_a_reduced_scope_allows_exactly_what_both_allow(
    asked: frozenset[scopes.Scope], held: frozenset[scopes.Scope], rtype: str, action: str
) -> None:
    def allowed(by: frozenset[scopes.Scope]) -> bool:
        return any(scope.allows(rtype, action) for scope in by)

    assert allowed(scopes.reduce(asked, held)) == (allowed(asked) and allowed(held))


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        read = scopes.parse(text)
    except ScopeMalformed:
        return
    assert scopes.parse(scopes.render(read)) == read
