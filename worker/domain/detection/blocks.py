"""One detector "worse than legacy" over outcomes of both, in blocks.

Rules: pure. Settled steps change the detector for good; those that are not are applied to a copy,
which the alarm sees, and come again at the next tick. Blocks are closed by counts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker.domain.detection import margin
from worker.domain.detection.likelihood import WORSE, EventCounts, Logs, detected, ratio_gains
from worker.domain.detection.margin import Block
from worker.domain.detection.signals import level

if TYPE_CHECKING:
    from worker.domain.detection.signals import Signal


class Step(NamedTuple):
    """Outcomes of both that one signal takes in at once."""

    target: EventCounts
    legacy: EventCounts
    settled: bool = True
    """Unsettled ones are seen by the alarm alone, and again at the next tick."""
    compared: bool = True
    proves: bool = True


class Detected(NamedTuple):
    """A detector after some steps."""

    shown: Logs
    """With those that are not settled."""
    settled: Logs
    block: Block
    closed: list[Block]
    """Blocks that prove something."""


def detecting(settled: Logs, block: Block, steps: list[Step], signal: Signal) -> Detected:
    """Take steps into a detector, in their order.

    Args:
        settled: the detector by settled steps, nats.
        block: its open block.
        steps: settled ones first.
        signal: sets the level up to which it is followed.
    """
    proving: list[Block] = []
    shown: tuple[Logs, Block] | None = None
    for step in steps:
        if not (step.target.total or step.legacy.total):
            continue
        if not step.settled:
            shown = _taken(*(shown or (settled, block)), step, signal)[:2]
            continue
        settled, block, closed = _taken(settled, block, step, signal)
        if closed is not None and step.proves:
            proving.append(closed)
    return Detected(shown[0] if shown else settled, settled, block, proving)


def _taken(
    logs: Logs, block: Block, step: Step, signal: Signal
) -> tuple[Logs, Block, Block | None]:
    """Detector and open block after one step, and the block that it closed."""
    if not step.compared:
        return logs, block, None
    target, legacy = step.target, step.legacy
    block = block.plus(Block(target.events, target.total, legacy.events, legacy.total))
    if not block.is_whole:
        return logs, block, None
    if not (block[0] or block[2]):
        return logs, margin.EMPTY, block
    gains = ratio_gains(EventCounts(block[0], block[1]), EventCounts(block[2], block[3]), WORSE)
    top = level(relative=True, signal=signal)
    return detected(logs, gains, top), margin.EMPTY, block
