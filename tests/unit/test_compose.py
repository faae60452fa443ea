"""The deployment files keep their promises. No Docker engine is needed: the files are read, not run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from configs.settings import Settings
from tasks.engine.routing import CONTROL_QUEUE
from tasks.engine.stages import HARD_LIMIT_S

ROOT = Path(__file__).parents[2]
APP_SERVICES = {"migrate", "worker-xauusd", "worker-btcusd", "worker-control", "beat", "flower"}
SERVICES = APP_SERVICES | {"redis", "postgres"}
LONG_RUNNING = SERVICES - {"migrate"}
REQUIRED = {"TRADING_REDIS_PASSWORD", "TRADING_POSTGRES_PASSWORD", "TRADING_FLOWER_PASSWORD"}

Service = dict[str, Any]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text_of("docker-compose.yml"))
    return content


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    content: dict[str, Service] = compose["services"]
    return content


def official_schema() -> dict[str, Any]:
    """Return the compose specification's own schema, which the package check-jsonschema ships."""
    package = importlib.util.find_spec("check_jsonschema")
    if package is None or package.origin is None:
        reason = "the package check-jsonschema is not installed: it brings the schema of compose files"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    path = Path(package.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]  # no match fails the test
    return int(number) * {"s": 1, "m": 60}[unit]


def test_compose_file_is_valid_by_the_official_schema(compose: dict[str, Any]) -> None:
    schema = official_schema()

    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_official_schema_rejects_a_misspelt_key(compose: dict[str, Any]) -> None:
    schema = official_schema()
    broken = {**compose, "services": {"redis": {**compose["services"]["redis"], "restrat": "always"}}}

    with pytest.raises(jsonschema.ValidationError, match="restrat"):
        jsonschema.validators.validator_for(schema)(schema).validate(broken)


def test_docker_compose_client_accepts_the_file() -> None:
    """The client checks files without an engine."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no `docker compose` client here")
    environment = {**os.environ, **dict.fromkeys(REQUIRED, "secret")}
    command = ["docker", "compose", "--file", "docker-compose.yml", "config", "--quiet"]

    answer = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert (answer.returncode, answer.stderr) == (0, "")


def test_services_are_all_there(services: dict[str, Service]) -> None:
    assert set(services) == SERVICES


def test_symbols_of_the_shipped_configuration_each_have_a_worker(services: dict[str, Service]) -> None:
    symbols = yaml.safe_load(text_of("configs/symbols.yaml"))["symbols"]
    commands = [service["command"] for name, service in services.items() if name.startswith("worker-")]
    queues = {command[command.index("-Q") + 1] for command in commands}

    assert queues == {*symbols, CONTROL_QUEUE}


def test_long_running_services_come_back_by_themselves(services: dict[str, Service]) -> None:
    assert {name: services[name]["restart"] for name in LONG_RUNNING} == dict.fromkeys(LONG_RUNNING, "unless-stopped")
    assert services["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", ["worker-xauusd", "worker-btcusd", "worker-control"])
def test_worker_is_informed_that_something_starts_it_again(services: dict[str, Service], name: str) -> None:
    assert services[name]["environment"]["TRADING__SUPERVISED"] == "true"


def test_long_running_services_each_have_a_health_check(services: dict[str, Service]) -> None:
    assert {name for name, service in services.items() if service.get("healthcheck", {}).get("test")} == LONG_RUNNING


@pytest.mark.parametrize("name", ["worker-xauusd", "worker-btcusd", "worker-control"])
def test_worker_is_queried_by_the_node_name_of_its_queue(services: dict[str, Service], name: str) -> None:
    command, check = services[name]["command"], services[name]["healthcheck"]["test"][1]

    assert check.endswith(f"-d {command[command.index('-Q') + 1]}@$$HOSTNAME")


def test_services_run_without_privileges(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "privileged" not in service, name
        assert service.get("network_mode") != "host", name


def test_stores_run_as_numbered_users_that_are_not_root(services: dict[str, Service]) -> None:
    for name in ("redis", "postgres"):
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", services[name]["user"]), name


def test_logs_are_bounded(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_ports_are_published_on_the_loopback_address_alone(services: dict[str, Service]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert list(ports) == ["flower"]
    assert all(port.startswith("127.0.0.1:") for port in ports["flower"])


def test_stores_are_on_the_inner_network_alone(compose: dict[str, Any], services: dict[str, Service]) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    assert [services[name]["networks"] for name in ("redis", "postgres")] == [["inside"], ["inside"]]


def test_dependencies_exist_and_are_waited_for(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for target, how in service.get("depends_on", {}).items():
            assert target in services, f"{name} waits for {target}"
            finished = services[target]["restart"] == "no"
            condition = "service_completed_successfully" if finished else "service_healthy"
            assert how["condition"] == condition, f"{name} waits for {target}"


@pytest.mark.parametrize("name", sorted(APP_SERVICES - {"migrate"}))
def test_app_starts_after_the_stores(services: dict[str, Service], name: str) -> None:
    assert set(services[name]["depends_on"]) == {"redis", "migrate"}


def test_volumes_are_all_declared(compose: dict[str, Any], services: dict[str, Service]) -> None:
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    host = {volume for volume in used if volume.startswith("./")}

    assert used - host == set(compose["volumes"])
    assert [path for path in host if not (ROOT / path).exists()] == []


def test_workers_may_finish_a_step_before_they_are_killed(services: dict[str, Service]) -> None:
    for name in ("worker-xauusd", "worker-btcusd", "worker-control"):
        assert seconds(services[name]["stop_grace_period"]) > HARD_LIMIT_S + 8, name  # and the soft shutdown of 8 s


def test_passwords_have_no_default_and_are_required() -> None:
    used = re.findall(r"\$\{(\w*PASSWORD\w*)(.*?)\}", text_of("docker-compose.yml"))

    assert {name for name, _ in used} == REQUIRED
    assert [name for name, rest in used if not rest.startswith(":?")] == []


def test_passwords_are_on_no_command_line(services: dict[str, Service]) -> None:
    for name, service in services.items():
        lines = [line for line in service["command"] if "PASSWORD" in line] if "command" in service else []
        assert lines == [], name
        check = " ".join(service.get("healthcheck", {}).get("test", []))
        assert "PASSWORD" not in check, name
        assert not re.search(r"\s-a\s", check), name


def test_environment_example_names_every_variable_and_no_password() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text_of("docker-compose.yml")))
    lines = re.findall(r"^(#?)(\w+)=(.*)$", text_of(".env.example"), flags=re.MULTILINE)

    assert {name for _, name, _ in lines} == used
    assert {name for comment, name, value in lines if not comment and not value} == REQUIRED


def test_settings_of_the_app_are_known(services: dict[str, Service]) -> None:
    known = {f"TRADING__{name.upper()}" for name in Settings.model_fields}
    for name in APP_SERVICES:
        given = {key for key in services[name]["environment"] if key.startswith("TRADING__")}
        assert given <= known, name


def test_ledger_and_paper_books_are_two_databases(services: dict[str, Service]) -> None:
    environment = services["worker-control"]["environment"]
    names = [environment[f"TRADING__{which}_URL"].rsplit("/", 1)[1] for which in ("LEDGER", "PAPER")]

    assert names == ["ledger", "paper"]
    assert services["postgres"]["environment"]["POSTGRES_DB"] == "ledger"
    assert "CREATE DATABASE paper;" in text_of("deploy/paper-books.sql")


def test_redis_keeps_what_it_is_given() -> None:
    options = dict(
        line.split(maxsplit=1) for line in text_of("deploy/redis.conf").splitlines() if not line.startswith("#")
    )

    assert (options["appendonly"], options["appendfsync"]) == ("yes", "everysec")
    assert options["maxmemory-policy"] == "noeviction"
    assert options["maxmemory"] == "512mb"


def test_dockerfile_ends_as_a_numbered_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (.+)$", text_of("Dockerfile").split("\nFROM ")[-1], flags=re.MULTILINE)

    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_dockerfile_installs_the_pinned_versions_and_no_extras() -> None:
    installs = re.findall(r"pip install [^\n]+", text_of("Dockerfile"))

    assert installs == ["pip install -c constraints.txt -r requirements.txt", "pip install --no-deps ."]
    assert "optional-dependencies" not in text_of("Dockerfile")


def test_docker_build_gets_every_file_that_it_copies() -> None:
    copied = {
        name
        for line in re.findall(r"^COPY (?!--)(.+)$", text_of("Dockerfile"), flags=re.MULTILINE)
        for name in line.split()[:-1]
    }
    allowed = {line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")}

    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
