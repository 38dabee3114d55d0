"""What a fuzz target is: a name, the bytes it takes, and a check of what must hold for them.

Rules:
- A check takes bytes and returns the behaviour it saw: a short label without anything of the input
  (`refused: text`). Inputs with a new behaviour are kept and mutated further, and a target whose
  inputs all behave alike is not tested at all.
- A check raises `Violation` with the rule that was broken. Any other exception is a violation too,
  unless the code under test documents it and the check catches it.
- A check keeps no state from one input to the next, so that an input alone repeats what it found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Mutator = Callable[[random.Random, bytes], bytes | None]
"""Makes another input from one that is well formed; None: it cannot read this one."""


class Violation(AssertionError):  # noqa: N818 - a broken rule, whoever broke it
    """Something that must hold did not.

    Attributes:
        rule: what must hold, in the same words for every input.
    """

    def __init__(self, rule: str, detail: object = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule


def must(holds: object, rule: str, detail: object = "") -> None:
    """Raise `Violation` unless the rule holds."""
    if not holds:
        raise Violation(rule, detail)


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table of targets.

    Args:
        name: for the command line and the folder of its cases.
        takes: what its bytes are.
        holds: what must hold for every input.
        check: see the rules of this file.
        seeds: inputs to begin with; the same ones at every call.
        share: part of all inputs, in thousandths. Cheap targets get most.
        mutators: of inputs in the form of this target; bytes are mutated in any case.
        words: byte strings that mean something there.
        longest: most bytes of an input.
        patience: how much more time than usual a byte may take.
    """

    name: str
    takes: str
    holds: str
    check: Callable[[bytes], str]
    seeds: Callable[[], Sequence[bytes]]
    share: int
    mutators: tuple[Mutator, ...] = ()
    words: tuple[bytes, ...] = ()
    longest: int = 70_000
    patience: float = 1.0
