"""What the local stack hands to its parts, and the broker definitions it is built on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Exchange
from worker.broker.topology import TOPOLOGY
from worker.lab.local.addresses import given_broker, without_addresses
from worker.lab.local.broker import DEFINITIONS, USERS, with_passwords
from worker.lab.local.database import find_mongod
from worker.lab.local.parts import Parts
from worker.lab.local.process import LocalError
from worker.settings.console import ConsoleSettings
from worker.settings.model import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def definitions() -> dict[str, Any]:
    return json.loads(DEFINITIONS.read_text())


def test_definitions_name_every_user_and_hold_no_password(definitions: dict[str, Any]) -> None:
    assert [user["name"] for user in definitions["users"]] != []
    assert {user["name"] for user in definitions["users"]} == set(USERS)
    assert {user["password_hash"] for user in definitions["users"]} == {""}
    assert "password" not in {key for user in definitions["users"] for key in user}


def test_every_user_has_permissions(definitions: dict[str, Any]) -> None:
    assert sorted(each["user"] for each in definitions["permissions"]) == sorted(USERS)


def test_every_policy_matches_something_of_its_kind(definitions: dict[str, Any]) -> None:
    names = {
        "exchanges": [exchange.value for exchange in TOPOLOGY.exchanges],
        "queues": [spec.name for spec in TOPOLOGY.queues],
    }
    for policy in definitions["policies"]:
        kind = names[policy["apply-to"]]
        assert any(re.search(policy["pattern"], name) for name in kind), policy["name"]


def test_no_queue_is_matched_by_two_policies(definitions: dict[str, Any]) -> None:
    """The broker would apply one of them only."""
    patterns = [p["pattern"] for p in definitions["policies"] if p["apply-to"] == "queues"]
    for spec in TOPOLOGY.queues:
        assert sum(bool(re.search(pattern, spec.name)) for pattern in patterns) <= 1, spec.name


def test_policies_lead_to_exchanges_that_exist(definitions: dict[str, Any]) -> None:
    targets = {
        value
        for policy in definitions["policies"]
        for key, value in policy["definition"].items()
        if key in {"dead-letter-exchange", "alternate-exchange"}
    }
    assert targets == {
        Exchange.LOST,
        Exchange.DEAD,
        Exchange.UNROUTED_COMMANDS,
        Exchange.UNROUTED_EVENTS,
    }


def test_every_binding_joins_things_that_are_declared() -> None:
    queues = {spec.name for spec in TOPOLOGY.queues}
    assert {binding.queue for binding in TOPOLOGY.bindings} == queues
    assert {binding.exchange for binding in TOPOLOGY.bindings} <= set(TOPOLOGY.exchanges)


def test_passwords_replace_the_empty_hashes(definitions: dict[str, Any]) -> None:
    passwords = {user: f"secret of {user}" for user in USERS}
    filled = with_passwords(definitions, passwords)
    assert {user["name"]: user["password"] for user in filled["users"]} == passwords
    assert all("password_hash" not in user for user in filled["users"])
    assert filled["policies"] == definitions["policies"]


def test_workers_get_settings_that_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path, {"SMS_LIFE_BULK_S": "77"})
    environment = parts.worker_environment("amqp://worker:w@h/", "mongodb://h/")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.target.id, settings.legacy.id) == ("africastalking", "legacy")
    assert settings.target.base_url == parts.addresses["africastalking"]
    assert settings.legacy.report_base_url == parts.addresses["webhook"]
    assert settings.life_bulk_s == 77


def test_the_console_gets_settings_that_are_valid_and_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path, {})
    environment = parts.console("amqp://observer:hush@h-1,h-2:5673/%2F?cafile=x")._environment
    given = {name: value for name, value in environment.items() if name.startswith("SMS_")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = ConsoleSettings()
    assert settings.console_broker == "amqp://h-1,h-2:5673/%2F?cafile=x"
    assert f"http://127.0.0.1:{settings.console_port}" == parts.addresses["console"]
    assert "hush" not in str(environment)


def test_every_part_has_an_address_of_its_own(tmp_path: Path) -> None:
    parts = Parts(tmp_path, {})
    for number in (1, 2):
        parts.replica(number, "amqp://h/", "mongodb://h/")
    addresses = list(parts.addresses.values())
    assert len(set(addresses)) == len(addresses) == 10


def test_without_an_address_no_broker_is_given() -> None:
    assert given_broker({"AMQP_URL_UPSTREAM": "amqp://u/"}, pytest.fail) is None


def test_a_user_without_an_address_logs_in_as_the_worker_with_a_warning() -> None:
    warnings: list[str] = []
    urls = given_broker(
        {"AMQP_URL": "amqp://w/", "AMQP_URL_UPSTREAM": "amqp://u/"}, warnings.append
    )
    assert urls is not None
    assert (urls["worker"], urls["upstream"], urls["observer"]) == (
        "amqp://w/",
        "amqp://u/",
        "amqp://w/",
    )
    assert len(warnings) == 1
    assert "observer" in warnings[0]
    assert "upstream" not in warnings[0]


def test_an_address_for_every_user_needs_no_warning() -> None:
    environment = {"AMQP_URL": "amqp://worker/"}
    environment |= {f"AMQP_URL_{user.upper()}": f"amqp://{user}/" for user in USERS}
    environment.pop("AMQP_URL_WORKER")
    urls = given_broker(environment, pytest.fail)
    assert urls == {user: f"amqp://{user}/" for user in USERS}


def test_addresses_do_not_reach_parts_that_have_no_business_with_them() -> None:
    given = {"AMQP_URL": "a", "AMQP_URL_WORKER": "b", "MONGO_URL": "c", "PATH": "d"}
    assert without_addresses(given) == {"PATH": "d"}


def test_a_missing_mongod_is_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LocalError, match=r"make setup.*MONGO_URL"):
        find_mongod(search=[])
