"""The language of fault scripts for `PUT /faults`.

Rules:
- A script is a list of rules, tried in order. Only the first that applies decides (`faults`).
- Every action says whether the SMS was TAKEN (and is in the journal): `Action.takes`. The default
  is in the table `TAKEN`. An answer that says "accepted" always takes the SMS.
- Times are milliseconds. Unknown fields are errors, because a typo must not weaken a fault.

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
    """The kind of an action on the connection."""

    ANSWER = "answer"
    """A regular acceptance; `code` may be another accepting one (AT 100, 102; Kannel `queued`)."""
    REFUSE = "refuse"
    """The dialect's own refusal, named by `code`. AT: a number is the recipient's status code, a
    word the reason above empty Recipients. Legacy: the code of the error body."""
    HTTP = "http"
    """A bare HTTP answer: `status`, and optionally `body` and `headers`."""
    GARBAGE = "garbage"
    """Status and content type of a success, but with a broken body (`body` if given)."""
    HALF_BODY = "half_body"
    """A success cut off in the middle of its body; the connection closes."""
    HANG = "hang"
    """No answer. The connection closes after `for_ms`, or when the script is replaced."""
    RESET = "reset"
    """The request is read, then the connection is reset (RST)."""
    CLOSE = "close"
    """The request is read, then the connection closes without a byte (FIN)."""
    CLOSE_BEFORE_READING = "close_before_reading"
    """A new connection closes before anything is read from it."""
    UNREACHABLE = "unreachable"
    """Connections are refused for `for_ms`, or until the script is replaced."""


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
"""Whether the SMS is taken if the script does not say it."""

_FIXED: Final = frozenset({Do.ANSWER, Do.CLOSE_BEFORE_READING, Do.UNREACHABLE})
"""Actions whose `taken` cannot be changed."""


class Ending(StrEnum):
    """The end of a message, in words that every dialect translates."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ABSENT = "absent"
    SUBMITTED = "submitted"
    """No end: the intermediate report is the last one."""


class ReportPlan(Model):
    """The delivery reports after a taken SMS."""

    send: bool = True
    delay_ms: Latency = 20.0
    """The wait, counted from the time when the answer is due."""
    status: Ending = Ending.DELIVERED
    raw_status: str | None = None
    """The status sent instead of the dialect's word, for example an undocumented one."""
    reason: str | None = None
    intermediate: bool = False
    """Whether a `submitted` report comes first."""
    reversed: bool = False
    """Whether the final report comes before the intermediate one."""
    copies: PositiveInt = 1
    """How often each report is sent."""
    before_answer: bool = False
    """Whether the first report is delivered before the answer to the request is sent."""


class Action(Model):
    """The action for one request."""

    do: Do = Do.ANSWER
    code: int | str | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    latency_ms: Latency | None = None
    """The wait before the act. The SMS is taken before the wait."""
    for_ms: PositiveFloat | None = None
    taken: bool | None = None
    reports: ReportPlan | None = None
    optout: bool = False
    """Whether the subscriber opts out after it: a callback is sent, and later SMS are refused."""

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
    """The conditions of a rule. All must hold."""

    to_regex: re.Pattern[str] | None = None
    """Regular expression that must match anywhere in the number as the request has it."""
    text_regex: re.Pattern[str] | None = None
    kept_alive: bool | None = None
    """True: not the first request on its connection; false: the first one."""
    after: Annotated[int, Field(ge=0)] = 0
    """Number of matching requests that are skipped first."""
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the matching requests, chosen at random."""
    first: PositiveInt | None = None
    """The most times that the rule applies."""


class Weighted(Model):
    """One of several actions."""

    weight: PositiveFloat
    action: Action


class Rule(Model):
    """A rule: conditions, and the action or actions for them."""

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
        """All possible actions of the rule."""
        return (self.action,) if self.action else tuple(each.action for each in self.weighted)

    def pick(self, chance: random.Random) -> Action:
        """Choose the action for this request."""
        actions = self.actions()
        if len(actions) == 1:
            return actions[0]
        return chance.choices(actions, [each.weight for each in self.weighted])[0]


class Script(Model):
    """The body of `PUT /faults`."""

    rules: tuple[Rule, ...] = ()
    seed: int | None = None


def read_script(body: bytes) -> Script:
    """Read a script as JSON: a list of rules, or an object with `rules` and `seed`.

    Raises:
        ValueError: lists all problems with their places.
    """
    raw = json.loads(body)
    return Script.model_validate({"rules": raw} if isinstance(raw, list) else raw)
