"""The hash key is changed in two steps: what one replica stores, the next one understands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from contracts.names import Header
from tests.support.fakes import KEY, NUMBER, incoming
from tests.unit.handlers.test_send import ACK, REDELIVERED, Desk
from worker.domain.messages import masking
from worker.domain.messages.message import State
from worker.handlers.copies import proved

if TYPE_CHECKING:
    from collections.abc import Sequence

NEW: Final = b"new-key"
Keys = tuple[bytes, tuple[bytes, ...]]
OLD_ALONE: Final[Keys] = (KEY, ())
OLD_FIRST: Final[Keys] = (KEY, (NEW,))
NEW_FIRST: Final[Keys] = (NEW, (KEY,))
SIDE_BY_SIDE: Final = [(OLD_ALONE, OLD_FIRST), (OLD_FIRST, NEW_FIRST), (NEW_FIRST, OLD_FIRST)]
"""Keys of two replicas that run beside each other, in one step or the other."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


def use(desk: Desk, keys: Keys) -> None:
    desk.decode_by(key=keys[0], other_keys=keys[1])


@pytest.mark.parametrize("replicas", [*SIDE_BY_SIDE, (OLD_FIRST, OLD_ALONE)])
async def test_a_copy_of_one_replica_goes_on_at_the_other(
    desk: Desk, replicas: Sequence[Keys]
) -> None:
    first, second = replicas
    use(desk, first)
    desk.sick()
    await desk.take()
    use(desk, second)
    assert await desk.take(desk.copy()) is ACK
    assert desk.record().state is State.ACCEPTED
    assert desk.publisher.dead_letters == []


@pytest.mark.parametrize("replicas", SIDE_BY_SIDE)
async def test_a_redelivery_is_recognised_and_other_content_is_not(
    desk: Desk, replicas: Sequence[Keys]
) -> None:
    first, second = replicas
    use(desk, first)
    await desk.take()
    use(desk, second)
    await desk.take(REDELIVERED)
    assert (desk.calls, desk.publisher.dead_letters) == (1, [])
    await desk.take(incoming(fields={"text": "other"}))
    assert desk.publisher.dead_letters[0][0] == "id conflict: same id, other content"


async def test_without_the_old_key_a_message_of_its_time_is_a_conflict(desk: Desk) -> None:
    await desk.take()
    use(desk, (NEW, ()))
    await desk.take(REDELIVERED)
    assert desk.publisher.dead_letters[0][0] == "id conflict: same id, other content"


@pytest.mark.parametrize("replicas", SIDE_BY_SIDE)
async def test_an_opt_out_at_one_replica_stops_the_other(
    desk: Desk, replicas: Sequence[Keys]
) -> None:
    (key, others), second = replicas
    await desk.suppressed.opt_out(masking.recipient(key, NUMBER, others))
    use(desk, second)
    await desk.take()
    assert (desk.calls, desk.record().state) == (0, State.REJECTED)


async def test_a_seal_counts_with_every_valid_key(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    copy = desk.copy()
    assert Header.ROUND in proved((NEW, KEY), copy).headers
    assert Header.ROUND not in proved((NEW,), copy).headers
    assert Header.ROUND not in proved((NEW, KEY), replace(copy, body=b"{}")).headers
