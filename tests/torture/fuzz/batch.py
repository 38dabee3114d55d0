"""Runs a batch of inputs against one target: seeds first, then what is made of them.

Rules: a batch is a function of its target, seed, number and size alone, so that it runs in any
process, in any order, and again. An input with a new behaviour joins those that others are made of.
The first failure of each rule is kept; more of the same are counted.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.torture.fuzz import corpus, mutate
from tests.torture.fuzz.watch import Failure, watched

if TYPE_CHECKING:
    from tests.torture.fuzz.target import Target

_IN_FORM: Final = 0.6
"""Part of the inputs that is made by the target's own mutators, where it has some."""
REFUSED: Final = "refused"
"""How the behaviour of an input begins that the code under test did not take."""
_MOSTLY: Final = 0.75
_LONG: Final = 2_000
_SELDOM: Final = 0.97


@dataclass(frozen=True, slots=True)
class Batch:
    """Some inputs of one target."""

    target: str
    seed: int
    number: int
    inputs: int


@dataclass(slots=True)
class Result:
    """What became of a batch."""

    inputs: int = 0
    behaviours: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    """By rule."""
    violations: int = 0

    def add(self, seen: str | Failure) -> bool:
        """Count what one input did; return whether it is new."""
        self.inputs += 1
        if isinstance(seen, Failure):
            self.violations += 1
            self.failures.setdefault(seen.rule, seen)
            return False
        self.behaviours[seen] += 1
        return self.behaviours[seen] == 1


class Pool:
    """Inputs that others are made of.

    Those that were refused are drawn less often: what is refused at the door sees nothing of the
    house. So are long ones, because each costs as much as a hundred short ones.
    """

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator
        self._taken: list[bytes] = []
        self._refused: list[bytes] = [b""]

    def add(self, data: bytes, seen: str | Failure) -> None:
        """Add an input by what it did."""
        refused = isinstance(seen, Failure) or seen.startswith(REFUSED)
        (self._refused if refused else self._taken).append(data)

    def draw(self) -> bytes:
        """One of the inputs."""
        taken = self._taken and self._generator.random() < _MOSTLY
        pool = self._taken if taken else self._refused
        data = self._generator.choice(pool)
        while len(data) > _LONG and self._generator.random() < _SELDOM:
            data = self._generator.choice(pool)
        return data


def seeds(target: Target) -> list[bytes]:
    """Inputs to begin with: the target's own, and those that failed once."""
    return [*target.seeds(), *(data for _, data in corpus.cases(target.name))]


def run(target: Target, batch: Batch) -> Result:
    """Check the inputs of a batch."""
    result = Result()
    generator = random.Random(f"{batch.seed} {batch.target} {batch.number}")
    pool = Pool(generator)
    for data in seeds(target)[: batch.inputs]:
        seen = watched(target, data)
        result.add(seen)
        pool.add(data, seen)
    words = (*mutate.WORDS, *target.words, *target.words)
    while result.inputs < batch.inputs:
        data = _made(generator, target, pool, words)[: target.longest]
        seen = watched(target, data)
        if result.add(seen):
            pool.add(data, seen)
    return result


def _made(generator: random.Random, target: Target, pool: Pool, words: tuple[bytes, ...]) -> bytes:
    data = pool.draw()
    if target.mutators and generator.random() < _IN_FORM:
        made = generator.choice(target.mutators)(generator, data)
        if made is not None:
            return made
    return mutate.bytes_of(generator, data, words, pool.draw())
