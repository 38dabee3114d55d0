"""Reads addresses in the environment. The local stack uses these instead of starting its own parts.

Rules: `AMQP_URL` is the address of the worker, `AMQP_URL_<USER>` that of another user. A user
without one gets the worker's, with a warning, because permissions are then not tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.lab.local.broker import USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def given_broker(
    environment: Mapping[str, str], warn: Callable[[str], None]
) -> dict[str, str] | None:
    """AMQP addresses by user; None: the environment names no broker."""
    worker = environment.get("AMQP_URL")
    if not worker:
        return None
    given = {user: environment.get(f"AMQP_URL_{user.upper()}") for user in USERS}
    given["worker"] = worker
    if missing := [user for user, url in given.items() if not url]:
        warn(f"warning: {', '.join(missing)} log in as the worker (AMQP_URL_<USER> is not set)")
    return {user: url or worker for user, url in given.items()}


def without_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without addresses and passwords of broker and database."""
    return {
        name: value
        for name, value in environment.items()
        if name != "MONGO_URL" and not name.startswith("AMQP_URL")
    }
