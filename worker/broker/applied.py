"""Waits until every live replica has followed a version.

Rules: the replicas' own heartbeats decide; the status query reads them. A replica has followed when
it has applied the version and holds no unsent intent that was decided on an older one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from contracts.control import Status
from worker.broker.control_client import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker.broker.control_client import ControlClient

_POLL_S: Final = 0.2


def behind(replicas: Iterable[Mapping[str, Any]], version: int) -> list[str]:
    """Names of the replicas that have not followed yet."""
    return [str(each.get("replica")) for each in replicas if not _followed(each, version)]


def _followed(replica: Mapping[str, Any], version: int) -> bool:
    applied, oldest = replica.get("applied"), replica.get("oldestUnsent")
    return applied is not None and applied >= version and (oldest is None or oldest >= version)


async def applied_by_all(client: ControlClient, version: int, within_s: float) -> list[str]:
    """Wait until all live replicas have followed; return their names.

    Raises:
        NoAnswer: it took longer than `within_s` seconds; the text names the replicas behind.
    """
    deadline = time.monotonic() + within_s
    late = "no status"
    while (left := deadline - time.monotonic()) > 0:
        try:
            reply = await client.ask(Status(command_id=str(uuid4())), left)
        except NoAnswer:
            break  # the replicas behind at the last answer say more than the missing answer
        replicas = (reply.data or {}).get("replicas", [])
        names = behind(replicas, version)
        if replicas and not names:
            return [str(each.get("replica")) for each in replicas]
        late = ", ".join(names) or f"the replicas are not known ({reply.code})"
        await asyncio.sleep(_POLL_S)
    raise NoAnswer(f"version {version} is in force, not yet applied within {within_s:g} s: {late}")
