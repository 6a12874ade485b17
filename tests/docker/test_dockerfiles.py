"""The images are built from what is in the tree, run as nobody in particular, and start what exists."""

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from clinic_net import cli as hub_cli
from station_agent import cli as station_cli
from tests.docker.reading import DOCKER, ROOT, instructions
from tools.setup import VENDORED

FILES = sorted(DOCKER.glob("*.Dockerfile"))


def _words(dockerfile: Path, wanted: str) -> list[str]:
    return [words for name, words in instructions(dockerfile) if name == wanted]


def _copied(dockerfile: Path) -> list[str]:
    """Return what is copied from the tree, not from another stage."""
    copies = [shlex.split(words) for words in _words(dockerfile, "COPY")]
    own = [words for words in copies if not any(word.startswith("--from=") for word in words)]
    return [source for words in own for source in [w for w in words if not w.startswith("--")][:-1]]


@pytest.mark.parametrize("dockerfile", FILES, ids=lambda path: path.stem)
def test_every_source_exists_and_is_let_into_the_build(dockerfile: Path) -> None:
    allowed = [
        line[1:]
        for line in Path(f"{dockerfile}.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for source in _copied(dockerfile):
        assert (ROOT / source).exists(), source
        name = source.rstrip("/")
        assert any(fnmatch(name, each) or name.startswith(f"{each}/") for each in allowed), source
    for each in allowed:
        assert (ROOT / each).exists(), each


@pytest.mark.parametrize("dockerfile", FILES, ids=lambda path: path.stem)
def test_the_image_holds_each_library_that_pages_load(dockerfile: Path) -> None:
    taken = {words.split()[1] for words in _words(dockerfile, "COPY") if "--from=browser" in words}
    assert taken == {f"/browser/node_modules/{source}" for source in VENDORED.values()}


@pytest.mark.parametrize("dockerfile", FILES, ids=lambda path: path.stem)
def test_the_last_stage_has_no_tools_to_build_with_and_is_not_root(dockerfile: Path) -> None:
    all_of_it = instructions(dockerfile)
    last = max(index for index, (name, _) in enumerate(all_of_it) if name == "FROM")
    final = all_of_it[last:]
    assert " AS " not in final[0][1]
    runs = " ".join(words for name, words in final if name == "RUN")
    assert "pip uninstall" in runs
    assert not re.search(r"apt-get|pip install|npm", runs)
    (user,) = [words for name, words in final if name == "USER"]
    assert int(user.split(":")[0]) >= 10_000
    assert [name for name, _ in final].count("HEALTHCHECK") == 1


@pytest.mark.parametrize("dockerfile", FILES, ids=lambda path: path.stem)
def test_packages_come_from_the_locks_only(dockerfile: Path) -> None:
    for words in _words(dockerfile, "RUN"):
        for install in re.findall(r"pip \S*.*?install (.*?)(?:&&|$)", words):
            assert "--require-hashes" in install or "--no-index" in install or "uninstall" in words, install
        assert "npm install" not in words


def test_the_hubs_image_starts_a_command_that_exists() -> None:
    (command,) = _words(DOCKER / "hub.Dockerfile", "CMD")
    program, *arguments = json.loads(command)
    parsed = hub_cli.parser().parse_args(arguments)
    assert (program, parsed.host, parsed.no_worker) == ("clinic-net", "0.0.0.0", True)
    assert _words(DOCKER / "hub.Dockerfile", "EXPOSE") == [str(parsed.port)]
    (health,) = _words(DOCKER / "hub.Dockerfile", "HEALTHCHECK")
    assert f"http://127.0.0.1:{parsed.port}/healthz" in health


def test_the_stations_image_starts_a_command_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = _words(DOCKER / "station.Dockerfile", "CMD")
    program, verb, *arguments = json.loads(command)
    assert program == "station-agent"
    with pytest.raises(SystemExit) as left:
        station_cli.main([verb, "--help"])
    assert left.value.code == 0
    usage = capsys.readouterr().out
    assert all(option in usage for option in arguments if option.startswith("--"))
    (health,) = _words(DOCKER / "station.Dockerfile", "HEALTHCHECK")
    assert f"http://127.0.0.1:{arguments[arguments.index('--port') + 1]}/healthz" in health


def test_the_stations_image_is_built_from_what_its_distribution_names() -> None:
    project = tomllib.loads((ROOT / "station_agent" / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {source.removeprefix("../") for source in included if source != "."}
    copied = {source.rstrip("/") for source in _copied(DOCKER / "station.Dockerfile")}
    assert needed <= copied
    assert not any(source.startswith("clinic_net") for source in copied - needed)
