"""The compose file says only what the programs understand, and everything they need."""

import re
from typing import Any

import pytest

from clinic_net import cli as hub_cli
from clinic_net.kernel.settings import HubSettings
from tests.docker.reading import DOCKER, ROOT, Unset, compose, example, instructions

NODES = ("hub-a", "hub-b")
HUB = (*NODES, "worker", "migrate")

PREFIX = "CLINIC_NET_"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the compose file, with the example's variables."""
    return dict(compose()["services"])


def _settings_given(service: dict[str, Any]) -> set[str]:
    return {name for name in (*service["environment"], *service["secrets"]) if name.startswith(PREFIX)}


@pytest.mark.parametrize("name", HUB)
def test_every_hub_process_gets_only_settings_that_exist_and_all_that_are_required(
    services: dict[str, Any], name: str
) -> None:
    known = {f"{PREFIX}{field.upper()}" for field in HubSettings.model_fields}
    required = {
        f"{PREFIX}{name.upper()}" for name, field in HubSettings.model_fields.items() if field.is_required()
    }
    given = _settings_given(services[name])
    assert given <= known
    assert required <= given


def test_every_hub_process_has_the_same_settings(services: dict[str, Any]) -> None:
    first = services[HUB[0]]
    for name in HUB[1:]:
        assert services[name]["environment"] == first["environment"]
        assert services[name]["secrets"] == first["secrets"]


def test_the_values_are_of_the_settings_types(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in services["hub-a"]["environment"].items():
        monkeypatch.setenv(name, value)
    made = HubSettings(
        database="postgresql+psycopg://x",
        redis="redis://x",
        token_key="t" * 32,
        identifier_key="i" * 32,
        turn_secret="t" * 16,
    )
    assert made.public_url == example()["CLINIC_NET_PUBLIC_URL"]
    assert all(url.startswith(("turn:", "turns:")) for url in made.turn_urls)


@pytest.mark.parametrize("name", HUB)
def test_every_command_of_the_hub_is_one_that_it_knows(services: dict[str, Any], name: str) -> None:
    program, *arguments = services[name]["command"]
    assert program == "clinic-net"
    parsed = hub_cli.parser().parse_args(arguments)
    assert callable(parsed.run)


def test_nodes_leave_background_work_to_the_worker_and_listen_for_the_proxy(services: dict[str, Any]) -> None:
    subnet = compose()["networks"]["edge"]["ipam"]["config"][0]["subnet"]
    for name in NODES:
        parsed = hub_cli.parser().parse_args(services[name]["command"][1:])
        assert parsed.no_worker
        assert (parsed.host, parsed.port) == ("0.0.0.0", 8080)
        assert parsed.trusted_proxy == [subnet]
        assert "ports" not in services[name]


def test_the_proxy_names_every_node_at_its_port_in_both_of_its_backends(services: dict[str, Any]) -> None:
    text = (DOCKER / "haproxy" / "haproxy.cfg").read_text()
    servers = re.findall(r"^ +server (\S+) (\S+)$", text, re.MULTILINE)
    wanted = [
        (name, f"{name}:{hub_cli.parser().parse_args(services[name]['command'][1:]).port}") for name in NODES
    ]
    assert servers == wanted * 2
    assert set(services["proxy"]["networks"]) & set(services["hub-a"]["networks"]) == {"edge"}


def test_the_proxy_passes_sockets_hides_figures_and_logs_no_addresses_that_were_asked_for() -> None:
    text = (DOCKER / "haproxy" / "haproxy.cfg").read_text()
    assert re.search(r"timeout tunnel +(\d+)s", text), "WebSockets end with the ordinary time-out"
    assert "deny_status 404 if { path /metrics }" in text
    for header in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix"):
        assert f"http-request del-header {header}\n" in text
    assert "option httplog" not in text
    (log_format,) = re.findall(r'log-format "(.*)"', text)
    assert not set(re.findall(r"%\[?[\w.]+", log_format)) & {"%r", "%HU", "%HP", "%HPO", "%HQ", "%hr", "%hs"}


def test_the_migration_ends_before_anything_that_needs_its_schema_begins(services: dict[str, Any]) -> None:
    for name in (*NODES, "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no"


def test_database_and_valkey_are_reached_from_inside_only(services: dict[str, Any]) -> None:
    networks = compose()["networks"]
    assert networks["inner"]["internal"]
    assert networks["edge"]["internal"]
    for name in ("postgres", "valkey"):
        assert services[name]["networks"] == ["inner"]
        assert "ports" not in services[name]


def test_nothing_runs_with_rights_it_does_not_need(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_images_are_pinned_by_a_whole_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z0-9]+)*$", service["image"]), name
    for dockerfile in DOCKER.glob("*.Dockerfile"):
        for image in (words for name, words in instructions(dockerfile) if name == "FROM"):
            assert re.search(r":\d+\.\d+\.\d+-[a-z-]+( AS \w+)?$", image), image


@pytest.mark.parametrize(
    "missing", ["CLINIC_NET_PUBLIC_URL", "CLINIC_NET_SECRETS", "CLINIC_NET_TURN_URLS", "TURN_EXTERNAL_IP"]
)
def test_a_variable_that_nobody_set_stops_the_start(missing: str) -> None:
    given = {name: value for name, value in example().items() if name != missing}
    with pytest.raises(Unset, match=missing):
        compose(given)


def test_secrets_are_files_without_a_default() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    for name in ("token_key", "identifier_key", "turn_secret", "password", "database", "redis"):
        assert not re.search(rf"{name}\}}?:-", text, re.IGNORECASE)
    made = re.findall(r"^keep (\S+)", (DOCKER / "make-secrets.sh").read_text(), re.MULTILINE)
    declared = set(compose()["secrets"])
    assert declared == {*made, "tls.pem"}
    for service in compose()["services"].values():
        assert set(service.get("secrets", ())) <= declared
    for name, secret in compose()["secrets"].items():
        assert secret["file"] == f"{example()['CLINIC_NET_SECRETS']}/{name}"


def test_every_file_that_is_mounted_or_built_from_exists() -> None:
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DOCKER / source).is_file(), (name, source)
        if "build" in service:
            assert (DOCKER / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_the_addresses_in_the_secrets_are_the_services_of_this_file() -> None:
    text = (DOCKER / "make-secrets.sh").read_text()
    hosts = re.findall(r"@([\w-]+):(\d+)/", text)
    assert hosts == [("postgres", "5432"), ("valkey", "6379")]
    assert {host for host, _ in hosts} <= set(compose()["services"])
    assert "port 6379" in (DOCKER / "valkey" / "valkey.conf").read_text()


def test_the_relay_takes_only_credentials_of_the_hub_and_reaches_no_private_network() -> None:
    text = (DOCKER / "coturn" / "turnserver.conf").read_text()
    lines = {line for line in text.splitlines() if line and not line.startswith("#")}
    assert {"use-auth-secret", "no-multicast-peers", "no-cli", "no-tcp-relay"} <= lines
    assert not any(line.startswith(("static-auth-secret", "user=", "allow-loopback-peers")) for line in lines)
    assert any(line.startswith("user-quota=") for line in lines)
    assert any(line.startswith("total-quota=") for line in lines)
    denied = {line.partition("=")[2] for line in lines if line.startswith("denied-peer-ip=")}
    assert {
        "10.0.0.0-10.255.255.255", "127.0.0.0-127.255.255.255", "169.254.0.0-169.254.255.255",
        "172.16.0.0-172.31.255.255", "192.168.0.0-192.168.255.255", "::1",
        "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    } <= denied  # fmt: skip
    ports = {urlport for url in re.findall(r"turns?:[^\"]+", example()["CLINIC_NET_TURN_URLS"])
             for urlport in re.findall(r":(\d+)\?", url)}  # fmt: skip
    assert ports == {line.partition("=")[2] for line in lines if "listening-port=" in line}


def test_neither_server_writes_what_an_error_quotes() -> None:
    text = (DOCKER / "postgres" / "postgresql.conf").read_text()
    for setting in ("log_min_error_statement = 'panic'", "log_error_verbosity = 'terse'"):
        assert setting in text
