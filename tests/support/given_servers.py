"""Servers that a test starts itself, for a stack that would else start its own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def given_servers(logins: Mapping[str, str], mongo_url: str) -> Iterator[None]:
    """Within the block a stack finds these addresses in the environment, and no others.

    Args:
        logins: address of the broker by user.
        mongo_url: address of the database.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("AMQP_URL")]:
            patch.delenv(name)
        for user, url in logins.items():
            patch.setenv("AMQP_URL" if user == "worker" else f"AMQP_URL_{user.upper()}", url)
        patch.setenv("MONGO_URL", mongo_url)
        yield
