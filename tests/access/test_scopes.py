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
OF_A_PERSON = st.builds(scopes.Scope, st.sampled_from(["patient", "user"]), TYPES, ACTIONS)
ASKED = st.builds(
    scopes.Asked, st.frozensets(OF_A_PERSON, max_size=5), st.frozensets(st.sampled_from(sorted(scopes.NAMED)))
)
ALL_TYPES = ("Patient", "Observation", "Encounter", "Task", "Flag")


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


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("patient/*.rs", "patient/*.rs"),
        ("user/*.* patient/*.read openid profile", "openid patient/*.rs profile user/*.cruds"),
        ("launch/patient offline_access user/Task.cu", "launch/patient offline_access user/Task.cu"),
        ("", ""),
    ],
)
def test_a_program_asks_for_resources_and_for_named_things(text: str, means: str) -> None:
    assert str(scopes.parse_app(text)) == means


@pytest.mark.parametrize(
    "text",
    [
        "system/*.rs",
        "patient/Observation.dus",
        "patient/Observation.rs?code:in=http://x",
        "patient/Observation.rs?category=laboratory",
        "launch/encounter",
        "OpenID",
        "openid  fhirUser",
        "user/Patient",
    ],
)
def test_a_program_is_refused_what_is_no_scope_of_a_person_or_cannot_be_enforced(text: str) -> None:
    with pytest.raises(ScopeMalformed):
        scopes.parse_app(text)


@given(ASKED)
def test_what_a_program_asks_for_is_read_back(asked: scopes.Asked) -> None:
    assert scopes.parse_app(str(asked)) == asked


@given(ASKED, ASKED, st.sampled_from(ALL_TYPES), st.sampled_from("cruds"))
def test_a_program_gets_of_each_level_what_it_asked_for_and_was_registered_for(
    asked: scopes.Asked, registered: scopes.Asked, rtype: str, action: str
) -> None:
    granted = asked.within(registered)

    def allowed(by: scopes.Asked, level: str) -> bool:
        return any(scope.level == level and scope.allows(rtype, action) for scope in by.resources)

    for level in ("patient", "user"):
        assert allowed(granted, level) == (allowed(asked, level) and allowed(registered, level))
    assert granted.named == asked.named & registered.named


@given(st.frozensets(OF_A_PERSON, max_size=5), st.frozensets(st.tuples(st.sampled_from(ALL_TYPES), ACTIONS)))
def test_a_scope_within_a_role_promises_exactly_what_the_role_allows(
    asked: frozenset[scopes.Scope], role: frozenset[tuple[str, str]]
) -> None:
    def may(rtype: str, action: str) -> bool:
        return any(rtype == known and action in actions for known, actions in role)

    granted = scopes.within_role(asked, ALL_TYPES, may)

    for level in ("patient", "user"):
        for rtype in ALL_TYPES:
            for action in "cruds":
                wanted = any(s.level == level and s.allows(rtype, action) for s in asked)
                given_ = any(s.level == level and s.allows(rtype, action) for s in granted)
                assert given_ == (wanted and may(rtype, action))
