"""What a command would lead to, for the person who is asked to confirm it.

Rules: best effort. The workers are asked for a short time; without an answer, or with one of
another version, nothing is said and the person is asked all the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pydantic import ValidationError

from contracts.answers import PreviewAnswer, StatusAnswer
from contracts.control import Preview, Status
from worker.broker.control_client import ControlClient, NoAnswer, NotAllowed
from worker.cli.addresses import amqp_url
from worker.domain.migration import effect
from worker.domain.migration.effect import Names
from worker.domain.migration.provider_names import display_name

if TYPE_CHECKING:
    from contracts.control import ControlCommand
    from worker.cli.options import Asking

WITHIN_S: Final = 2.0
_SENT_LATER: Final = {"commandId", "issuedAt"}


def foretold(given: Asking, command: ControlCommand) -> tuple[str, ...]:
    """Lines for people: how many messages move, or why the command would be refused now."""
    try:
        preview, status = asyncio.run(_asked(given, command))
    except (NoAnswer, NotAllowed, TimeoutError, ValidationError):
        return ()
    if not preview.accepted:
        return (f"would be refused now: {preview.text}",)
    before, after = preview.share_before, preview.share_after
    if before == after or status.target is None or status.legacy is None:
        return ()
    names = Names(display_name(status.target), display_name(status.legacy))
    return (effect.movement(preview.messages_per_hour, before, after, names),)


async def _asked(given: Asking, command: ControlCommand) -> tuple[PreviewAnswer, StatusAnswer]:
    fields = command.model_dump(mode="json", by_alias=True, exclude_none=True)
    wanted = {name: value for name, value in fields.items() if name not in _SENT_LATER}
    within = min(given.timeout, WITHIN_S)
    async with ControlClient(amqp_url(given.login)) as client, asyncio.timeout(within):
        preview = await client.ask(Preview(command_id=str(uuid4()), command=wanted), within)
        status = await client.ask(Status(command_id=str(uuid4())), within)
    return PreviewAnswer.model_validate(preview.data), StatusAnswer.model_validate(status.data)
