"""Runs one check and tells what became of it: a behaviour, or a failure.

Rules:
- Time is CPU time of this thread, because a busy machine makes every other time long. An input that
  seems slow is checked again, and its quickest time counts.
- A check that does not come to an end is interrupted and is a violation. The signal for it counts
  CPU time too.
"""

from __future__ import annotations

import functools
import signal
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from time import thread_time
from typing import TYPE_CHECKING, Final

from tests.torture.fuzz.target import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.torture.fuzz.target import Target

LONGEST_S: Final = 10.0
"""CPU seconds after which a check is interrupted."""
_ONE_S, _EACH_BYTE_S = 0.05, 6e-6
"""CPU seconds that an input may take, and each of its bytes."""
_TIMES: Final = 3


class Endless(BaseException):
    """A check was interrupted. No code under test catches this."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that broke a rule."""

    rule: str
    detail: str
    data: bytes


def watched(target: Target, data: bytes) -> str | Failure:
    """The behaviour of one input, or its failure."""
    begins = thread_time()
    seen = _checked(target, data)
    if isinstance(seen, str) and thread_time() - begins > bound_s(target, data):
        return _slow(target, data) or seen
    return seen


def bound_s(target: Target, data: bytes) -> float:
    """CPU seconds that this input may take: linear in its length."""
    return target.patience * (_ONE_S + _EACH_BYTE_S * len(data))


def _checked(target: Target, data: bytes) -> str | Failure:
    try:
        with _interrupted_after(LONGEST_S):
            return target.check(data)
    except Violation as violation:
        return Failure(violation.rule, str(violation), data)
    except Endless:
        return Failure("a check comes to an end", f"not within {LONGEST_S:g} s of CPU", data)
    except Exception as error:  # noqa: BLE001 - whatever escapes the code under test is what we look for
        place = traceback.extract_tb(error.__traceback__)[-1]
        rule = f"no other exception: {type(error).__name__} at {place.name}"
        return Failure(rule, "".join(traceback.format_exception(error)[-12:]), data)


def _slow(target: Target, data: bytes) -> Failure | None:
    quickest = min(_seconds(target, data) for _ in range(_TIMES))
    if quickest <= bound_s(target, data):
        return None
    detail = f"{quickest:.2f} s of CPU for {len(data)} bytes"
    return Failure("the time is linear in the length", detail, data)


def _seconds(target: Target, data: bytes) -> float:
    begins = thread_time()
    _checked(target, data)
    return thread_time() - begins


@contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    _listen()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@functools.cache
def _listen() -> None:
    signal.signal(signal.SIGVTALRM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Endless
