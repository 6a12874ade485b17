"""The unit with which a station's computer runs the agent fits the program."""

import configparser
import shlex
from pathlib import Path

from station_agent import cli, upkeep

UNIT = Path(__file__).parents[2] / "docker" / "station-agent.service"


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the form that configparser documents
    unit.read(UNIT)
    return unit["Service"]


def test_the_command_is_one_that_the_agent_knows() -> None:
    program, *arguments = shlex.split(service()["ExecStart"])
    assert Path(program).name == "station-agent"
    given = cli._parser().parse_args(arguments)
    assert given.command is cli._run
    assert str(given.data) == f"/var/lib/{service()['StateDirectory']}"


def test_starting_again_is_left_out_where_it_helps_nobody() -> None:
    codes = {int(code) for code in service()["RestartPreventExitStatus"].split()}
    assert codes == {cli.OTHER_COMPUTER, cli.KEYS_UNREADABLE}
    assert service()["Restart"] == "always"


def test_the_agent_says_that_it_lives_long_before_the_watchdog_ends_it() -> None:
    assert service()["Type"] == "notify"
    assert int(service()["WatchdogSec"]) > upkeep.LOOKS_AFTER_S * 3


def test_memory_is_bounded_and_no_core_dump_holds_a_patient() -> None:
    assert service()["MemoryMax"] == "256M"
    assert service()["LimitCORE"] == "0"
