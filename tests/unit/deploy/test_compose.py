"""`compose.yaml` without Docker: by its schema, and against our settings, ports and paths."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.support.manifests import (
    DEPLOY,
    GIVEN,
    OF_OPENTELEMETRY,
    compose,
    filled,
    make_secrets,
    private_paths,
    seconds,
    secrets_maker,
    variables,
)
from tests.unit.cli.test_config_command import run
from worker.cli import configuration
from worker.lab.local.broker import USERS
from worker.settings.console import ConsoleSettings
from worker.settings.environment import Names
from worker.settings.model import Settings, WebhookSettings

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE = compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"worker": Settings, "webhook": WebhookSettings, "console": ConsoleSettings}
SETTINGS = {name: Names(settings) for name, settings in OURS.items()}
TRACED = ("worker", "webhook")
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
IMAGE = DEPLOY / "Dockerfile"
OBSERVED = pytest.mark.skipif(not PROMETHEUS.exists(), reason="what observes it is not here yet")
AFTER_THE_DRAIN_S = 30
"""Closing connections and sending telemetry, each with a bound of its own."""


def schema() -> dict[str, Any]:
    """The schema of Compose, as a package brings it."""
    where = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    found: dict[str, Any] = json.loads(where.read_text(encoding="utf-8"))
    return found


def problems(document: object) -> list[str]:
    validator = jsonschema.validators.validator_for(schema())(schema())
    return [f"{list(each.path)}: {each.message}" for each in validator.iter_errors(document)]


def targets(service: str) -> dict[str, str]:
    """The secret files of a service: name in the container -> secret."""
    given = SERVICES[service].get("secrets", [])
    return {each["target"]: each["source"] for each in given if isinstance(each, dict)}


def asked(service: str) -> tuple[int, str]:
    """Port and path that the healthcheck of a service asks."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/-]*)", " ".join(health(service)))
    assert found is not None
    return int(found[1]), found[2]


def health(service: str) -> list[str]:
    found: list[str] = SERVICES[service]["healthcheck"]["test"]
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("deploy") / "secrets")


def environment(service: str, secrets: Path, folder: Path) -> dict[str, str]:
    """The environment of a service; its secret files are written into the folder."""
    for target, source in targets(service).items():
        shutil.copy(DEPLOY / secrets / file_of(source), folder / target)
    given = {name: filled(value) for name, value in SERVICES[service]["environment"].items()}
    return given | {"SMS_SECRETS_DIR": str(folder)}


def file_of(secret: str) -> str:
    """The name of a secret's file."""
    found: str = COMPOSE["secrets"][secret]["file"]
    return found.removeprefix("./secrets/")


# --- by itself -------------------------------------------------------------------------------


def test_it_is_valid() -> None:
    assert problems(COMPOSE) == []


@pytest.mark.parametrize("misspelt", ["stop_grace", "healthchecks", "readonly"])
def test_the_schema_finds_a_misspelt_key(misspelt: str) -> None:
    worker = SERVICES["worker"] | {misspelt: "1"}
    assert problems(COMPOSE | {"services": SERVICES | {"worker": worker}})


@pytest.mark.parametrize("kind", ["secrets", "configs", "networks", "volumes"])
def test_what_is_defined_is_used_and_what_is_used_is_defined(kind: str) -> None:
    given = [each for service in SERVICES.values() for each in service.get(kind, [])]
    names = {each["source"] if isinstance(each, dict) else each.split(":")[0] for each in given}
    assert {name for name in names if not name.startswith(".")} == set(COMPOSE[kind])


def test_each_file_is_there() -> None:
    named = {each["file"] for each in COMPOSE["configs"].values()}
    assert [name for name in named if not (DEPLOY / name).exists()] == []


@OBSERVED
def test_each_folder_is_there() -> None:
    mounted = [each for service in SERVICES.values() for each in service.get("volumes", [])]
    named = {each.split(":")[0] for each in mounted if each.startswith(".")}
    assert named
    assert [name for name in named if not (DEPLOY / name).is_dir()] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is (name not in {*OURS, "tools"})
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert "privileged" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.skipif(not IMAGE.exists(), reason="the image is not here yet")
def test_our_image_has_an_init_of_its_own() -> None:
    assert '\nENTRYPOINT ["tini", "--", "sms-worker"]\n' in IMAGE.read_text(encoding="utf-8")
    assert SERVICES["worker"]["build"]["dockerfile"] == str(IMAGE.relative_to(DEPLOY.parent))


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned(name: str) -> None:
    image = filled(SERVICES[name]["image"])
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", image)


def test_each_service_that_stays_says_whether_it_is_healthy() -> None:
    silent = {n for n, service in SERVICES.items() if service["healthcheck"].get("disable")}
    assert silent == {"tools", "collector"}  # one runs a command, the other has no program for it


def test_nothing_is_published_to_other_machines() -> None:
    given = [filled(port) for each in SERVICES.values() for port in each.get("ports", [])]
    assert given
    assert all(port.startswith("127.0.0.1:") for port in given)


def test_the_services_that_a_service_waits_for_say_that_they_are_healthy() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "test" in SERVICES[other]["healthcheck"]


# --- against the product ---------------------------------------------------------------------


@pytest.mark.parametrize("service", OURS)
def test_each_variable_is_a_setting_of_that_process(service: str) -> None:
    others = set(SERVICES[service]["environment"]) - set(SETTINGS[service].all)
    assert [name for name in others if not OF_OPENTELEMETRY.fullmatch(name)] == []


@pytest.mark.parametrize("service", OURS)
def test_each_secret_file_is_read_by_a_setting_of_that_process(service: str) -> None:
    assert list(SETTINGS[service].unread(targets(service))) == []


def test_the_files_of_the_tools_are_read_by_commands() -> None:
    assert list(configuration.NAMES.unread(targets("tools"))) == []


def test_the_worker_accepts_what_it_gets(secrets: Path, tmp_path: Path) -> None:
    given = environment("worker", secrets, tmp_path) | {
        "SMS_FLAGS_FILE": str(DEPLOY / "flags.json")
    }
    unset = dict.fromkeys(targets("worker"), None)
    result = run("check-config", **unset, **given, SMS_TARGET__BASE_URL=None)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("configuration is valid\n")
    (flags,) = SERVICES["worker"]["configs"]
    assert SERVICES["worker"]["environment"]["SMS_FLAGS_FILE"] == flags["target"]


def test_the_webhook_accepts_what_it_gets(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in targets("webhook"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment("webhook", secrets, tmp_path).items():
        monkeypatch.setenv(name, value)
    tokens = configuration.webhook_settings().webhook_tokens
    assert tokens.keys() == {"africastalking", "legacy"}


def test_the_console_accepts_what_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["console"]["environment"].items():
        monkeypatch.setenv(name, filled(value))
    console = configuration.console_settings()
    (port,) = SERVICES["console"]["ports"]
    assert console.console_origin == f"http://localhost:{console.console_port}"
    assert filled(port) == f"127.0.0.1:{console.console_port}:{console.console_port}"


def test_the_console_is_alone_and_has_no_secret() -> None:
    assert "replicas" not in SERVICES["console"]["deploy"]
    assert targets("console") == {}


def test_a_process_is_killed_only_after_its_longest_drain() -> None:
    drain_s = Settings.model_fields["drain_grace_s"].default
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= drain_s + AFTER_THE_DRAIN_S
    for name in ("webhook", "console"):
        assert seconds(SERVICES[name]["stop_grace_period"]) >= AFTER_THE_DRAIN_S


def test_the_healthchecks_ask_what_is_served() -> None:
    for service, setting in (
        ("worker", "SMS_PRIVATE_PORT"),
        ("webhook", "SMS_WEBHOOK_PRIVATE_PORT"),
        ("console", "SMS_CONSOLE_PRIVATE_PORT"),
    ):
        port, path = asked(service)
        assert str(port) == SERVICES[service]["environment"][setting]
        assert path in private_paths()


def test_the_port_of_the_webhook_is_the_published_one() -> None:
    (port,) = SERVICES["webhook"]["ports"]
    assert port.endswith(":" + SERVICES["webhook"]["environment"]["SMS_WEBHOOK_PORT"])


def test_the_example_of_variables_has_what_is_asked_for() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked_for = set(re.findall(r"\$\{(\w+):\?", text))
    given = variables(DEPLOY / ".env.example")
    assert asked_for == GIVEN.keys()
    assert asked_for <= given.keys() <= set(re.findall(r"\$\{(\w+)", text))


# --- beside it -------------------------------------------------------------------------------


@OBSERVED
def test_prometheus_scrapes_what_is_there() -> None:
    config = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))
    jobs = {each["job_name"]: each for each in config["scrape_configs"]}
    (found,) = jobs["sms-worker"]["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert str(found["port"]) == SERVICES["worker"]["environment"]["SMS_PRIVATE_PORT"]
    fixed = [each for job in jobs.values() for each in job.get("static_configs", [])]
    assert {target.split(":")[0] for each in fixed for target in each["targets"]} <= set(SERVICES)
    (mounted,) = [v for v in SERVICES["prometheus"]["volumes"] if v.startswith("./prometheus:")]
    folder = mounted.split(":")[1]
    assert f"--config.file={folder}/{PROMETHEUS.name}" in SERVICES["prometheus"]["command"]


@OBSERVED
def test_grafana_finds_the_dashboards_where_it_is_told_to_look() -> None:
    (told,) = (DEPLOY / "grafana" / "provisioning" / "dashboards").glob("*.yml")
    (provider,) = yaml.safe_load(told.read_text(encoding="utf-8"))["providers"]
    mounts = dict(v.split(":")[:2] for v in SERVICES["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"


def test_the_collector_takes_the_traces_where_the_workers_send_them() -> None:
    config = yaml.safe_load((DEPLOY / "compose" / "collector.yaml").read_text(encoding="utf-8"))
    sent = {SERVICES[name]["environment"]["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] for name in TRACED}
    (url,) = map(urlsplit, sent)
    assert url.hostname == "collector"
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == f"0.0.0.0:{url.port}"
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])


def test_the_broker_reads_the_definitions_and_takes_no_longer_messages_than_the_local_one() -> None:
    conf = (DEPLOY / "compose" / "rabbitmq.conf").read_text(encoding="utf-8").splitlines()
    (definitions,) = targets("rabbitmq")
    assert f"load_definitions = /run/secrets/{definitions}" in conf
    assert "max_message_size = 4194304" in conf


# --- the secrets -----------------------------------------------------------------------------


def test_each_secret_has_its_file(secrets: Path) -> None:
    assert [name for name in COMPOSE["secrets"] if not (secrets / file_of(name)).exists()] == []


def test_the_files_are_readable_and_their_folder_is_closed(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    by_hand = secrets_maker()["BY_HAND"]
    modes = {f.name: f.stat().st_mode & 0o777 for f in secrets.iterdir() if f.name not in by_hand}
    assert set(modes.values()) == {0o444}


def test_each_user_of_the_broker_has_the_password_of_its_address(secrets: Path) -> None:
    made = json.loads((secrets / "rabbitmq_definitions.json").read_text(encoding="utf-8"))
    hashes = {user["name"]: base64.b64decode(user["password_hash"]) for user in made["users"]}
    assert hashes.keys() == set(USERS)
    for name, salted in hashes.items():
        url = urlsplit((secrets / f"{name}_amqp_url").read_text(encoding="utf-8"))
        assert url.username == name
        assert hashlib.sha256(salted[:4] + (url.password or "").encode()).digest() == salted[4:]
    assert {user["hashing_algorithm"] for user in made["users"]} == {
        "rabbit_password_hashing_sha256"
    }


def test_the_definitions_are_else_those_of_the_repository(secrets: Path) -> None:
    made = json.loads((secrets / "rabbitmq_definitions.json").read_text(encoding="utf-8"))
    given = json.loads((DEPLOY / "rabbitmq" / "definitions.json").read_text(encoding="utf-8"))
    assert {**made, "users": 0} == {**given, "users": 0}


def test_secrets_that_are_there_are_kept(secrets: Path) -> None:
    def kept() -> dict[str, str]:
        every = (f for f in secrets.iterdir() if f.name != "rabbitmq_definitions.json")
        return {file.name: file.read_text(encoding="utf-8") for file in every}

    before = kept()
    assert secrets_maker()["main"](secrets) == 0
    assert kept() == before


def test_what_only_you_know_is_asked_for_and_nothing_secret_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secrets_maker()["main"](tmp_path / "new") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" into ")[1] for line in err.splitlines()] == [
        str(tmp_path / "new" / name) for name in ("target_secret", "legacy_secret")
    ]
    made = [file.read_text(encoding="utf-8") for file in (tmp_path / "new").iterdir()]
    assert not any(secret in err for secret in made)
