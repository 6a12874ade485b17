"""The coded list of specialties."""

import re

from clinic_net.clinical.specialties import SPECIALTIES


def test_codes_are_stable_words_and_every_name_is_in_two_languages() -> None:
    for code, specialty in SPECIALTIES.items():
        assert code == specialty.code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert specialty.en
        assert specialty.vi


def test_what_a_station_asks_for_most_is_there() -> None:
    asked = {"general", "emergency", "internal", "cardiology", "neurology", "obstetrics", "paediatrics"}
    asked |= {"surgery", "trauma", "respiratory", "infectious", "mental"}
    assert asked <= SPECIALTIES.keys()
