"""Stations, a hub and any weather, in any order: whatever happens, what was saved is there, once, at both ends."""

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from clinic_net.bench.weather import Fault, Mishap
from clinic_net.protocol.sync import Lane
from tests.faults import people
from tests.faults.feeds import fresh_copy
from tests.faults.world import Station, World

STATIONS = 2
EXAMPLES = 8


class AnyWeather(RuleBasedStateMachine):
    """Nurses save, the sky does what it does, computers are switched off and on; then the weather is good again."""

    patients = Bundle("patients")
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.stations: list[Station] = []

    @initialize(target=patients)
    def opens(self) -> Any:
        self.stations = [self.world.station() for _ in range(STATIONS)]
        return multiple(*(self._registered(number) for number in range(STATIONS)))

    def _registered(self, number: int) -> tuple[int, str]:
        person = people.patient()
        self.stations[number].save(person)
        return number, person["id"]

    @rule(target=patients, number=st.integers(0, STATIONS - 1))
    def registers(self, number: int) -> tuple[int, str]:
        return self._registered(number)

    @rule(whose=patients, value=st.integers(40, 180))
    def measures(self, whose: tuple[int, str], value: int) -> None:
        number, patient = whose
        self.stations[number].save(people.pulse(patient, value), people.pulse(patient, value + 1))

    @rule(whose=patients, phone=st.from_regex(r"09[0-9]{8}", fullmatch=True))
    def corrects(self, whose: tuple[int, str], phone: str) -> None:
        number, patient = whose
        self.stations[number].save({**people.patient(phone), "id": patient})

    @rule(whose=patients)
    def saves_what_no_hub_can_store(self, whose: tuple[int, str]) -> None:
        number, patient = whose
        self.stations[number].save_poison(people.poison(patient))

    @rule(whose=patients)
    def asks_for_a_doctor(self, whose: tuple[int, str]) -> None:
        number, patient = whose
        self.stations[number].save(people.call(patient), lane=Lane.URGENT)

    @rule(whose=patients)
    def a_doctor_measures_at_the_hub(self, whose: tuple[int, str]) -> None:
        number, patient = whose
        if self.world.at_hub("Patient", patient) is not None:
            self.world.writes(people.pulse(patient), self.stations[number].site)

    @rule(
        number=st.integers(0, STATIONS - 1),
        mishaps=st.lists(
            st.builds(Mishap, st.sampled_from(Fault), st.integers(0, 400)), min_size=1, max_size=6
        ),
    )
    def the_sky_darkens(self, number: int, mishaps: list[Mishap]) -> None:
        self.stations[number].sky.mishaps.extend(mishaps)

    @rule(number=st.integers(0, STATIONS - 1))
    def the_link_is_tried(self, number: int) -> None:
        station = self.stations[number]
        urgent = station.counts().waiting[Lane.URGENT] > 0
        reached = len(station.sky.lanes)
        station.exchange()
        if urgent and len(station.sky.lanes) > reached:
            assert station.sky.lanes[reached] is Lane.URGENT, "something overtook a call for a doctor"

    @rule(number=st.integers(0, STATIONS - 1))
    def the_computer_is_switched_off_and_on(self, number: int) -> None:
        self.stations[number].restart()

    def teardown(self) -> None:
        try:
            for station in self.stations:
                station.settle()
            for station in self.stations:
                station.exchange()  # what the other one's settling made new
                demand_that_all_is_there_once(self.world, station)
        finally:
            for station in self.stations:
                station.stop()


def demand_that_all_is_there_once(world: World, station: Station) -> None:
    """Check what must be true of a station and its hub once the weather has been good for a while."""
    for (rtype, rid), versions in station.saved.items():
        found = world.at_hub(rtype, rid)
        assert found is not None, f"a saved {rtype} is not at the hub"
        assert found[0] == versions[-1], f"a {rtype} at the hub is not what was saved last"
        assert found[1] <= len(versions), f"a {rtype} was applied more often than it was saved"
        assert station.text_of(rtype, rid) == versions[-1]
    for rtype, rid in station.poisoned:
        assert world.at_hub(rtype, rid) is None
    counts = station.counts()
    assert counts.refused == len(station.poisoned), "a bad record is shown, and only a bad one"
    assert station.held() == fresh_copy(world, station), (
        "what came bit by bit is not what a new computer would get"
    )


def test_nothing_is_lost_or_done_twice_in_any_weather(world: World) -> None:
    AnyWeather.world = world
    run_state_machine_as_test(
        AnyWeather,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=(Phase.explicit, Phase.generate),
        ),
    )
