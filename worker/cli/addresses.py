"""Finds the addresses of the broker and the database for a command.

Rules: the environment with its secret files comes first (`AMQP_URL_<USER>`, then `AMQP_URL`;
`MONGO_URL`), then the stack that runs on this machine (`.local/stack.json`). Without both, the
command ends with a clear text. Values in the environment are checked as `check-config` checks them.
Addresses are never printed, because they hold passwords.
"""

from __future__ import annotations

from pathlib import Path

import typer
from pydantic import SecretStr, ValidationError

from worker.cli.configuration import named, refused, variables
from worker.lab.local.record import read_record
from worker.settings.addresses import amqp_problems, mongo_problems
from worker.settings.model import MessageSettings
from worker.store import address_check

DIRECTORY = Path(".local")


def amqp_url(user: str) -> str:
    """Return the broker's address with the login of `user`."""
    own = "AMQP_URL_" + user.upper().replace("-", "_")
    given = variables()
    for name in (own, "AMQP_URL"):
        if address := given.get(name):
            return _judged(name, address, amqp_problems(address))
    record = read_record(DIRECTORY)
    if record is not None and user in record.amqp:
        return record.amqp[user]
    raise _refused(own, "address of the broker")


def mongo_url() -> str:
    """Return the address of the database."""
    if address := variables().get("MONGO_URL"):
        problems = mongo_problems(address) or address_check.problems(address)
        return _judged("MONGO_URL", address, problems)
    record = read_record(DIRECTORY)
    if record is not None and record.mongo:
        return record.mongo
    raise _refused("MONGO_URL", "address of the database")


def message_settings() -> MessageSettings:
    """Return the settings that decode commands as the workers do."""
    if variables().get("SMS_HASH_KEY"):
        return _from_environment()
    record = read_record(DIRECTORY)
    if record is not None and "hash_key" in record.secrets:
        return MessageSettings(hash_key=SecretStr(record.secrets["hash_key"]))
    raise _refused("SMS_HASH_KEY", "hash key of the workers")


def _from_environment() -> MessageSettings:
    try:
        return MessageSettings()
    except ValidationError as error:
        raise refused(named(error)) from None


def _judged(variable: str, address: str, problems: list[str]) -> str:
    if problems:
        raise refused([f"{variable}: {problem}" for problem in problems])
    return address


def _refused(variable: str, what: str) -> typer.Exit:
    typer.echo(
        f"{variable}: expected the {what}, got nothing; set it, or start a local stack (make run)",
        err=True,
    )
    return typer.Exit(2)
