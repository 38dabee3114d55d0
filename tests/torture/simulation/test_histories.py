"""Nothing is broken by the first of the histories that `make torture` runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
import structlog

from tests.torture.simulation import batch
from tests.torture.simulation.draw import WATCHED_EVERY, draw
from tests.torture.simulation.scenario import Publish
from tests.torture.simulation.verdict import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORIES: Final = 120
PART: Final = 20
MOST_MESSAGES: Final = 20


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A simulated worker logs nothing; whoever is tested next in this process logs again."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(batch.QUIET))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("first", range(0, HISTORIES, PART))
def test_a_history_breaks_nothing(first: int) -> None:
    broken = {number: violations(draw(number)) for number in range(first, first + PART)}
    assert {number: found for number, found in broken.items() if found} == {}


def test_each_has_at_least_twenty_messages() -> None:
    counts = [
        sum(isinstance(step, Publish) for step in draw(number).steps) for number in range(400)
    ]
    assert min(counts) >= MOST_MESSAGES


def test_a_history_is_the_same_in_every_process() -> None:
    digests = {_digest(hash_seed) for hash_seed in ("0", "0")}
    assert len(digests) == 1


def _digest(hash_seed: str) -> str:
    """A digest of everything that happens in two histories."""
    code = (
        "from tests.torture.simulation import batch;"
        "from tests.torture.simulation.draw import draw;"
        "from tests.torture.simulation.simulate import simulate;"
        "from tests.torture.simulation.story import Story;"
        "batch.silence();"
        "stories = [Story(), Story()];"
        "facts = [simulate(draw(n), story) for n, story in zip((7, 8), stories)];"
        "print(*map(str, (line for story in stories for line in story.lines)), facts, sep='\\n')"
    )
    told = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return hashlib.sha256(told).hexdigest()


def test_automation_moves_in_a_watched_history_and_breaks_nothing() -> None:
    assert violations(draw(WATCHED_EVERY // 2)) == []
