"""Decides what happens to an SMS, without sockets and waiting.

Rules: the fault is chosen first. A plain answer still refuses an SMS that the dialect itself
refuses, whose recipient opted out, or that the balance does not cover. A taken SMS is in the
journal before this module returns. If an action is about the connection and not about a recipient,
one action is used for the whole request.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from worker.lab.simulator.faults import Ask, Faults
from worker.lab.simulator.journal import Requests
from worker.lab.simulator.latency import draw
from worker.lab.simulator.parts import parts
from worker.lab.simulator.script import Do, ReportPlan, Script
from worker.lab.simulator.wire import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.lab.simulator.journal import Journal
    from worker.lab.simulator.latency import Latency
    from worker.lab.simulator.script import Action
    from worker.lab.simulator.wire import Account, Callback, Code, Dialect, Sms

_PER_RECIPIENT: Final = frozenset({Do.ANSWER, Do.REFUSE})


@dataclass(frozen=True, slots=True)
class Treated:
    """The decision about one SMS."""

    verdict: Verdict
    action: Action
    plan: ReportPlan
    callbacks: Sequence[Callback]
    """All copies of its delivery reports, in the order of sending."""


@dataclass(slots=True)
class Engine:
    """The state of a simulated provider."""

    account: Account
    journal: Journal
    plan: ReportPlan = field(default_factory=ReportPlan)
    """The reports if the script names none."""
    report_url: str | None = None
    optout_url: str | None = None
    latency: Latency = 0.0
    """The latency in milliseconds if the script names none."""
    seed: int = 0
    left: Decimal = Decimal(1_000_000)
    """Balance."""
    opted_out: set[tuple[str, str]] = field(default_factory=set)
    """Opt-outs as number and sender id; without sender id: every sender."""
    requests: Requests = field(default_factory=Requests)
    faults: Faults = field(default_factory=Faults)

    def load(self, script: Script, dialects: Sequence[Dialect]) -> None:
        """Put a script in force.

        Raises:
            ValueError: it names a code that no dialect here has. Nothing is changed.
        """
        for rule in script.rules:
            for action in rule.actions():
                code = action.code
                if code is not None and not any(each.knows(code) for each in dialects):
                    spoken = " or ".join(each.name for each in dialects)
                    raise ValueError(f"code: expected one of {spoken}, got {code!r}")
        self.faults = Faults(script, self.seed)

    def treat(self, dialect: Dialect, asked: Sequence[Sms], *, kept_alive: bool) -> list[Treated]:
        """Decide about every SMS of a request, and write taken ones into the journal."""
        actions = [self.faults.choose(Ask(sms.to, sms.text, kept_alive)) for sms in asked]
        whole = next((each for each in actions if each.do not in _PER_RECIPIENT), None)
        if whole is not None:
            actions = [whole] * len(asked)
        return [self._one(dialect, *pair) for pair in zip(asked, actions, strict=True)]

    def wait_ms(self, action: Action) -> float:
        """The wait before an action."""
        latency = self.latency if action.latency_ms is None else action.latency_ms
        return draw(latency, self.faults.chance)

    def delay_ms(self, plan: ReportPlan) -> float:
        """The wait before a report, counted from the answer."""
        return draw(plan.delay_ms, self.faults.chance)

    def opt_out(self, dialect: Dialect, number: str, sender: str) -> Callback | None:
        """Refuse a subscriber for this sender from now on; returns the callback about it."""
        self.opted_out.add((number, sender.casefold()))
        return dialect.optout(sender, number, self.optout_url) if self.optout_url else None

    def opt_in(self, number: str, sender: str) -> None:
        """Accept a subscriber again; without a sender, for every sender. There is no callback."""
        lifted = {each for each in self.opted_out if each[0] == number}
        self.opted_out -= {(number, sender.casefold())} if sender else lifted

    def _one(self, dialect: Dialect, sms: Sms, action: Action) -> Treated:
        verdict = self._judge(dialect, sms, action)
        self.requests.sms["taken" if verdict.taken else "not_taken"] += 1
        plan = action.reports or self.plan
        callbacks = self._callbacks(dialect, verdict, plan) if verdict.taken else ()
        return Treated(verdict, action, plan, callbacks)

    def _judge(self, dialect: Dialect, sms: Sms, action: Action) -> Verdict:
        count = parts(sms.text)
        own = self._own_fault(dialect, sms, count) if action.do is Do.ANSWER else None
        if own is not None or not action.takes:
            return Verdict(sms, taken=False, code=own or action.code, parts=count)
        given_id = dialect.id_prefix + uuid.uuid4().hex
        self.journal.note(sms, dialect=dialect.name, given_id=given_id, parts=count)
        self.left -= self.account.price * count
        return Verdict(sms, taken=True, code=action.code, id=given_id, parts=count)

    def _own_fault(self, dialect: Dialect, sms: Sms, count: int) -> Code | None:
        fault = dialect.fault(sms)
        if fault is not None:
            return fault
        sender = (sms.sender or "").casefold()
        if not self.opted_out.isdisjoint({(sms.to, ""), (sms.to, sender)}):
            return dialect.opted_out
        return dialect.no_balance if self.left < self.account.price * count else None

    def _callbacks(
        self, dialect: Dialect, verdict: Verdict, plan: ReportPlan
    ) -> Sequence[Callback]:
        url = verdict.sms.report_url or self.report_url
        if not (plan.send and url):
            return ()
        steps = list(dialect.reports(verdict, plan, url))
        if plan.reversed:
            steps.reverse()
        return [step for step in steps for _ in range(plan.copies)]
