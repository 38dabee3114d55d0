"""The view "Explain a number": which way a message would take, in words.

Rules: pure and total. Reasons are those of `domain.migration.routing`; one that is not known here
is shown as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contracts.answers import ExplainAnswer
    from worker.domain.migration.effect import Names

_BELOW: Final = re.compile(r"percentage: bucket (\d+) < (\d+)")
_ABOVE: Final = re.compile(r"percentage: bucket (\d+) >= (\d+)")
_ALONE: Final = re.compile(r"phase (\w+): legacy alone")
_IGNORED: Final = re.compile(r"(user|branch) override to target ignored")
_OVERRIDE: Final = re.compile(r"(user|branch) override")
_DISABLED: Final = re.compile(r"(target|legacy) disabled")
_BUSY: Final = re.compile(r"(target|legacy) takes no more now")
_NOBODY: Final = re.compile(r"no enabled provider has a role")


@dataclass(frozen=True, slots=True)
class Explained:
    """What would happen to a message."""

    number: str
    headline: str
    lines: tuple[str, ...]
    bucket: int


def explained(answer: ExplainAnswer, names: Names) -> Explained:
    """The answer in words."""
    return Explained(
        number=answer.number,
        headline=_headline(answer),
        lines=(*_reasons(answer.reason, names), *_passed_over(answer)),
        bucket=answer.bucket,
    )


def _headline(answer: ExplainAnswer) -> str:
    way = [wording.provider(each) for each in answer.way]
    if not way:
        return "It is not sent now: no provider can take it."
    first, *others = way
    fallback = f"; if that fails provably, to {others[0]}" if others else "; there is no fallback"
    return f"It goes to {first}{fallback}."


def _reasons(reason: str, names: Names) -> Iterator[str]:
    for part in reason.split("; "):
        yield _said(part.strip(), names)


def _said(part: str, names: Names) -> str:
    for pattern, said in _SAID:
        if found := pattern.fullmatch(part):
            return said(found, names)
    return f"{part[:1].upper()}{part[1:]}."


def _passed_over(answer: ExplainAnswer) -> Iterator[str]:
    for each in answer.passed_over:
        yield f"{wording.provider(each)} is passed over: its circuit breaker is open."


def _called(role: str, names: Names) -> str:
    return names.target if role == "target" else names.legacy


_SAID: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Names], str]], ...]] = (
    (_BELOW, lambda m, n: f"Its bucket is {m[1]}; buckets below {m[2]} go to {n.target}."),
    (_ABOVE, lambda m, n: f"Its bucket is {m[1]}; buckets from {m[2]} on go to {n.legacy}."),
    (_ALONE, lambda m, n: f"In the phase {wording.phase(m[1])} all messages go to {n.legacy}."),
    (_IGNORED, lambda m, n: f"The {m[1]} is fixed to {n.target}, which does not count now."),
    (_OVERRIDE, lambda m, _: f"The {m[1]} is fixed to that provider; the share does not decide."),
    (_DISABLED, lambda m, n: f"{_called(m[1], n)} is disabled."),
    (_BUSY, lambda m, n: f"{_called(m[1], n)} takes no more messages just now."),
    (_NOBODY, lambda _, __: "No provider that is enabled may take it in this phase."),
)
"""What each reason says, the first that fits."""
