"""The language of fault scripts: what `PUT /faults` takes.

Rules:
- A script is a list of rules tried in order; the first that applies decides alone (`faults`).
- Every action says whether the SMS was TAKEN (and stands in the journal): `Action.takes`. Where
  the script is silent the table `TAKEN` says it; an answer that claims acceptance cannot be
  declared untaken.
- Times are milliseconds. Unknown fields are errors: a typo must not soften a fault.

On the wire a script is a list, or an object when a seed goes with it::

    {"seed": 7, "rules": [
      {"match": {"text_regex": "otp", "rate": 0.1, "first": 5}, "action": {"do": "reset"}},
      {"weighted": [{"weight": 3, "action": {"do": "http", "status": 503}},
                    {"weight": 1, "action": {"latency_ms": {"median": 80, "p95": 400}}}]}
    ]}
"""

from __future__ import annotations

import json
import re  # noqa: TC003  pydantic evaluates the annotations
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from worker.lab.simulator.latency import Latency, Model

if TYPE_CHECKING:
    import random


class Do(StrEnum):
    """What happens on the wire."""

    ANSWER = "answer"
    """A regular acceptance; `code` may be another accepting one (AT 100, 102; Kannel `queued`)."""
    REFUSE = "refuse"
    """The dialect's own refusal, named by `code`. AT: a number is the recipient's status code, a
    word the reason above empty Recipients. Legacy: the code of the error body."""
    HTTP = "http"
    """A bare HTTP answer: `status`, and `body` and `headers` where the defaults do not do."""
    GARBAGE = "garbage"
    """The status and content type of a success over a body that is not one (`body` if given)."""
    HALF_BODY = "half_body"
    """A success cut off in the middle of its body; the connection closes."""
    HANG = "hang"
    """Never an answer; the connection closes after `for_ms`, or when the script is replaced."""
    RESET = "reset"
    """The request is read, then the connection is reset (RST)."""
    CLOSE = "close"
    """The request is read, then the connection closes without a byte (FIN)."""
    CLOSE_BEFORE_READING = "close_before_reading"
    """A new connection closes before anything is read from it."""
    UNREACHABLE = "unreachable"
    """Nothing listens, for `for_ms` or until the script is replaced: connections are refused."""


TAKEN: Final = {
    Do.ANSWER: True,
    Do.REFUSE: False,
    Do.HTTP: False,
    Do.GARBAGE: True,
    Do.HALF_BODY: True,
    Do.HANG: False,
    Do.RESET: False,
    Do.CLOSE: True,
    Do.CLOSE_BEFORE_READING: False,
    Do.UNREACHABLE: False,
}
"""Whether the SMS is taken where a script does not say."""

_FIXED: Final = frozenset({Do.ANSWER, Do.CLOSE_BEFORE_READING, Do.UNREACHABLE})
"""Actions for which `taken` follows from what they are."""


class Ending(StrEnum):
    """How a message ends, in words every dialect translates."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ABSENT = "absent"
    SUBMITTED = "submitted"
    """Never ends: the intermediate report is the last that is heard of it."""


class ReportPlan(Model):
    """Which delivery reports follow a taken SMS."""

    send: bool = True
    delay_ms: Latency = 20.0
    """From the moment the answer is due."""
    status: Ending = Ending.DELIVERED
    raw_status: str | None = None
    """Sent instead of the dialect's word, e.g. a status nobody documented."""
    reason: str | None = None
    intermediate: bool = False
    """A `submitted` report comes first."""
    reversed: bool = False
    """The final report overtakes the intermediate one."""
    copies: PositiveInt = 1
    """How often each report is sent."""
    before_answer: bool = False
    """The first report is through before the response to the request leaves."""


class Action(Model):
    """What is done to one request."""

    do: Do = Do.ANSWER
    code: int | str | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    latency_ms: Latency | None = None
    """Waiting before the act; the SMS is taken before the wait."""
    for_ms: PositiveFloat | None = None
    taken: bool | None = None
    reports: ReportPlan | None = None
    optout: bool = False
    """The subscriber opts out on receiving it: callback, and refused from then on."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.do is Do.REFUSE) and self.code is None:
            raise ValueError("refuse: expected a code, got none")
        if (self.do is Do.HTTP) != (self.status is not None):
            raise ValueError("status: required for http, meaningless elsewhere")
        if self.do in _FIXED and self.taken not in (None, TAKEN[self.do]):
            raise ValueError(f"taken: {self.do} always means {TAKEN[self.do]}")
        return self

    @property
    def takes(self) -> bool:
        """Whether the SMS is taken."""
        return TAKEN[self.do] if self.taken is None else self.taken


class Match(Model):
    """Which requests a rule applies to; all conditions together."""

    to_regex: re.Pattern[str] | None = None
    """Found anywhere in the recipient's number as the request gave it."""
    text_regex: re.Pattern[str] | None = None
    kept_alive: bool | None = None
    """Only requests that are not (true) or are (false) the first on their connection."""
    after: Annotated[int, Field(ge=0)] = 0
    """Leave so many otherwise matching requests alone first."""
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the matching requests, by chance."""
    first: PositiveInt | None = None
    """Apply at most so many times."""


class Weighted(Model):
    """One of several actions."""

    weight: PositiveFloat
    action: Action


class Rule(Model):
    """A condition and what follows from it."""

    match: Match = Match()
    action: Action | None = None
    weighted: tuple[Weighted, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.action is None) == (not self.weighted):
            raise ValueError("expected either action or weighted, got both or neither")
        for action in self.actions():
            self._fits(action)
        return self

    def _fits(self, action: Action) -> None:
        if action.do not in (Do.CLOSE_BEFORE_READING, Do.UNREACHABLE):
            return
        if self.weighted:
            raise ValueError(f"{action.do}: decided before any request is seen, cannot be weighted")
        blind = Match(after=self.match.after, rate=self.match.rate, first=self.match.first)
        if self.match != (blind if action.do is Do.CLOSE_BEFORE_READING else Match()):
            raise ValueError(f"match: {action.do} is decided before any request is read")

    def actions(self) -> tuple[Action, ...]:
        """Everything the rule may do."""
        return (self.action,) if self.action else tuple(each.action for each in self.weighted)

    def pick(self, chance: random.Random) -> Action:
        """What it does this time."""
        actions = self.actions()
        if len(actions) == 1:
            return actions[0]
        return chance.choices(actions, [each.weight for each in self.weighted])[0]


class Script(Model):
    """What `PUT /faults` takes."""

    rules: tuple[Rule, ...] = ()
    seed: int | None = None


def read_script(body: bytes) -> Script:
    """Read a script as JSON: a list of rules, or an object with `rules` and `seed`.

    Raises:
        ValueError: every problem, by place.
    """
    raw = json.loads(body)
    return Script.model_validate({"rules": raw} if isinstance(raw, list) else raw)
