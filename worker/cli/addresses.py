"""Where a command finds the broker and the database.

Rules: the environment first (`AMQP_URL_<USER>`, then `AMQP_URL`; `MONGO_URL`), else the stack that
runs on this machine (`.local/stack.json`), else a clear refusal. Addresses are never printed: they
hold passwords.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer
from pydantic import SecretStr

from worker.local.record import read_record
from worker.settings import MessageSettings

DIRECTORY = Path(".local")


def amqp_url(user: str) -> str:
    """Address of the broker with the login of `user`."""
    own = "AMQP_URL_" + user.upper().replace("-", "_")
    for name in (own, "AMQP_URL"):
        if os.environ.get(name):
            return os.environ[name]
    record = read_record(DIRECTORY)
    if record is not None and user in record.amqp:
        return record.amqp[user]
    raise _refused(own, "address of the broker")


def mongo_url() -> str:
    """Address of the database."""
    if os.environ.get("MONGO_URL"):
        return os.environ["MONGO_URL"]
    record = read_record(DIRECTORY)
    if record is not None and record.mongo:
        return record.mongo
    raise _refused("MONGO_URL", "address of the database")


def message_settings() -> MessageSettings:
    """What it takes to understand commands as the workers do."""
    if os.environ.get("SMS_HASH_KEY"):
        return MessageSettings()
    record = read_record(DIRECTORY)
    if record is not None and "hash_key" in record.secrets:
        return MessageSettings(hash_key=SecretStr(record.secrets["hash_key"]))
    raise _refused("SMS_HASH_KEY", "hash key of the workers")


def _refused(variable: str, what: str) -> typer.Exit:
    typer.echo(
        f"{variable}: expected the {what}, got nothing; set it, or start a local stack (make run)",
        err=True,
    )
    return typer.Exit(2)
