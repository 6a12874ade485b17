"""What stations work by is set in layers and reaches them with a pull; what they say of themselves comes back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fleet import service
from clinic_net.fleet.errors import UnusableSettings
from clinic_net.fleet.settings import checked, layers_of, merged, version_of
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Report
from tests.access.support import OTHER_SITE, SITE, fill
from tests.sync.support import a_station


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


async def configure(hub: Hub, layer: str, **given: Any) -> None:
    async with hub.sessions() as session, session.begin():
        await service.configure(session, layer, given, by="user:1", now=hub.now())


async def test_a_station_is_told_its_settings_until_it_works_by_them(hub: Hub) -> None:
    await configure(
        hub, "national", day_bytes=2_000_000, pull_every_s=300, features={"sms": True, "video": True}
    )
    await configure(hub, f"site:{SITE}", day_bytes=500_000, features={"video": False})
    station, other = a_station(SITE), a_station(OTHER_SITE)

    told = (await station.pull(hub)).config
    assert told is not None
    version = told["version"]
    assert told == {
        "day_bytes": 500_000, "pull_every_s": 300, "features": {"sms": True, "video": False}, "version": version,
    }  # fmt: skip
    assert (await station.pull(hub, report=Report(config=str(version)))).config is None
    others = (await other.pull(hub)).config
    assert others is not None
    assert others["day_bytes"] == 2_000_000


async def test_what_a_station_says_of_itself_is_kept_within_bounds(hub: Hub) -> None:
    said = Report(
        agent="1.2", waiting={"0": 1}, sent_today={"0": 900, "9": 5, "1": -4}, store_check="ok\x00 " + "x" * 500,
        offset_ms=10**15, free_bytes=10**30, attachments_waiting=3,
    )  # fmt: skip
    await a_station(SITE).pull(hub, report=said)

    async with hub.sessions() as session:
        state = next(each for each in await service.stations(session) if each.site == SITE)
    assert state.health.sent_today == {"0": 900, "1": 0}
    assert state.health.attachments_waiting == 3
    assert len(state.health.store_check) == 120
    assert state.health.offset_ms == 2**31 - 1


@pytest.mark.parametrize(
    "given", [{"day_bytes": 1}, {"pull_every_s": 5}, {"colour": "blue"}, {"features": {"Not A Name": True}}]
)
def test_what_no_station_could_work_by_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UnusableSettings) as refused:
        checked(given)
    assert refused.value.places


layer = st.fixed_dictionaries(
    {},
    optional={
        "day_bytes": st.integers(100_000, 10**9),
        "features": st.dictionaries(st.sampled_from(["sms", "video"]), st.booleans(), min_size=1),
    },
)


@given(st.lists(layer, max_size=4))
def test_the_nearest_layer_counts_setting_by_setting(layers: list[dict[str, Any]]) -> None:
    whole = merged(layers)
    for name in ("sms", "video"):
        said = [each["features"][name] for each in layers if name in each.get("features", {})]
        assert whole.get("features", {}).get(name) == (said[-1] if said else None)
    assert bool(version_of(whole)) == bool(whole)
    assert layers_of("1-1", None) == ("national", "site:1-1")
