"""Arrays that are spelled by hand come back from PostgreSQL as what they were."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.links import fetch

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_AWKWARD = st.sampled_from(["", "null", "NULL", "{}", '"', "\\", '\\"', ",", " a ", "{1,2}", "'"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.none() | _TEXT | _AWKWARD, max_size=6), whole=st.lists(st.none() | st.integers(-9, 9))
)
async def test_an_array_comes_back_as_it_was(
    hub: Hub, words: list[str | None], whole: list[int | None]
) -> None:
    async with hub.links.begin() as link:
        asked = {"words": texts(words), "whole": numbers(whole)}
        ((said, counted),) = await fetch(
            link, "select cast(%(words)s as text[]), cast(%(whole)s as int[])", asked
        )
    assert (said, counted) == (words, whole)
