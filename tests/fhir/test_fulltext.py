"""The words of a resource, and full-text queries."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir.fulltext import NoWordsError, content_words, narrative_words, read_words

CONDITION = {
    "resourceType": "Condition",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://x">Viêm&nbsp;phổi <b class="a">nặng</b></div>',
    },
    "code": {"coding": [{"system": "http://hl7.org/sid/icd-10", "code": "J18.9"}], "text": "Viêm phổi"},
    "identifier": [{"system": "http://x.example/sid", "value": "004190000002"}],
    "subject": {"reference": "Patient/abc", "display": "Nguyễn Thị Hòa"},
}


def test_a_narrative_is_its_words_without_markup_and_marks() -> None:
    assert narrative_words(CONDITION) == ["viem", "phoi", "nang"]
    assert narrative_words({"resourceType": "Condition"}) == []


def test_the_content_is_all_that_is_said_but_not_what_is_for_programs() -> None:
    assert content_words(CONDITION) == [
        *("viem", "phoi", "nang", "condition", "generated", "j18", "9", "nguyen", "thi", "hoa"),
    ]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Phổi", "('phoi')"),
        ("viêm phổi", "('viem') & ('phoi')"),
        ("viêm AND phổi", "('viem') & ('phoi')"),
        ("(gan OR xương) and di căn", "(('gan') | ('xuong')) & ('di') & ('can')"),
        ("a or b and c", "('a') | ('b') & ('c')"),
        ("a not b", "('a') & !(('b'))"),
        ('"OR" x', "('or') & ('x')"),
        ("covid-19", "('covid' & '19')"),
        ("tub*", "('tub':*)"),
        ("it's", "('it' & 's')"),
    ],
)
def test_a_query_joins_words(text: str, query: str) -> None:
    assert read_words(text) == query


@pytest.mark.parametrize(
    "text", ["", " ", "and", "a or", "(a", "a)", "()", "not", '"a', "***", "a " * 40, "(" * 40]
)
def test_what_asks_for_no_word_is_refused(text: str) -> None:
    with pytest.raises(NoWordsError):
        read_words(text)


@given(st.text(max_size=40))
def test_a_query_holds_nothing_but_words_and_operators(text: str) -> None:
    try:
        query = read_words(text)
    except NoWordsError:
        return
    assert not re.sub(r"'\w+'(?::\*)?", "", query).strip(" ()&|!")
