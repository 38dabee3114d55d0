"""Asks the workers what a dialog shows: the effect of a command, and who follows a version.

Rules: nobody waits long. No answer is an answer too: why there is none, in words for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from contracts.answers import PreviewAnswer
from contracts.control import Preview, Status
from worker.broker.applied import behind
from worker.broker.control_client import BrokerAway, NoAnswer, NotAllowed
from worker.console.steering.dialog import Previewed
from worker.console.steering.progress import Following

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from contracts.control import ControlQuery, ControlReply

    Ask = Callable[[ControlQuery, float], Awaitable[ControlReply]]
    """Asks in the name of a person; see `site.Site.ask`."""

WITHIN_S: Final = 2.0
WHILE_SILENT_S: Final = 0.7
"""While nobody answers, a dialog opens soon."""
ANOTHER_VERSION: Final = "The worker is of another version and answers otherwise."
M = TypeVar("M", bound=BaseModel)


async def answered(
    ask: Ask, query: ControlQuery, model: type[M], within_s: float = WITHIN_S
) -> tuple[ControlReply, M] | str:
    """The reply and its data, or why there is none."""
    try:
        reply = await ask(query, within_s)
    except BrokerAway:
        return "The broker does not answer."
    except NoAnswer:
        return "No worker answers."
    except NotAllowed as refusal:
        return f"{str(refusal)[:1].upper()}{str(refusal)[1:]}."
    if reply.verdict == "refused":
        return reply.text.removeprefix(f"{reply.name}: ")
    try:
        return reply, model.model_validate(reply.data or {})
    except ValidationError:
        return ANOTHER_VERSION


async def previewed(
    ask: Ask, name: str, fields: Mapping[str, Any], within_s: float = WITHIN_S
) -> Previewed | str:
    """What a command would lead to, or why that is not known."""
    query = Preview(command_id=str(uuid4()), command={"name": name, **fields})
    found = await answered(ask, query, PreviewAnswer, within_s)
    return found if isinstance(found, str) else Previewed(*found)


async def following(ask: Ask, version: int, elapsed_s: float) -> Following:
    """How far the replicas are with a version that is in force for some seconds."""
    found = await answered(ask, Status(command_id=str(uuid4())), _Replicas)
    if isinstance(found, str):
        return Following(version, elapsed_s, silence=found)
    replicas = found[1].replicas
    late = tuple(behind(replicas, version))
    return Following(version, elapsed_s, live=len(replicas), behind=late)


class _Replicas(BaseModel):
    """The replicas in an answer to `status`, as they came."""

    replicas: list[dict[str, Any]] = []
