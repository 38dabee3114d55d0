"""Broker users with a person's name, each with the rights of one that the definitions have."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from worker.lab.local.broker import Broker

_DEFINITIONS: Final = ROOT / "deploy" / "rabbitmq" / "definitions.json"


async def add_person(broker: Broker, name: str, like: str) -> str:
    """Add a user with the rights of the user `like`; return its password."""
    password = secrets.token_hex(16)  # never an option of the command line
    await broker.rabbitmqctl("add_user", name, password)
    definitions: dict[str, Any] = json.loads(_DEFINITIONS.read_text("utf-8"))
    for given in definitions["permissions"]:
        if given["user"] == like:
            rights = (given[kind].replace(like, name) for kind in ("configure", "write", "read"))
            await broker.rabbitmqctl("set_permissions", name, *rights)
    for given in definitions["topic_permissions"]:
        if given["user"] == like:
            rights = (given["write"], given["read"])
            await broker.rabbitmqctl("set_topic_permissions", name, given["exchange"], *rights)
    return password
