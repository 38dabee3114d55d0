"""Everybody outside the workers: who publishes, who steers, whose provider calls back, who listens.

Rules: they speak to the broker without a wire, because their own faults are not the subject. Each
keeps what it published and what it got, as facts for the judge.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pamqp.commands import Basic

from contracts.names import Exchange, Key
from tests.torture.judge.facts import Command, Event, Report, Steered
from tests.torture.simulation.broker.project import DirectClient
from tests.torture.simulation.broker.settings import declaration
from tests.torture.simulation.settings import LIVES_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.torture.simulation.broker.messages import Delivery
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.scenario import Publish, Steer

UPSTREAM: Final = "upstream"
WEBHOOK: Final = "webhook"
PERSON: Final = "administrator"
_OWN: Final = declaration(durable=True, exclusive=False, auto_delete=False, arguments=None)
_KEYS: Final = {"transactional": Key.SEND_TRANSACTIONAL, "bulk": Key.SEND_BULK}
_ROOM_S: Final = 60.0
"""For a life that begins when a worker first sees the message."""


class Outside:
    """All of them.

    Args:
        broker: the broker.
        now: true time, seconds since 1970.
    """

    def __init__(self, broker: Server, now: Callable[[], float]) -> None:
        self.commands: dict[str, Command] = {}
        self.events: list[Event] = []
        self.reports: list[Report] = []
        self._now = now
        self._broker = broker
        self._steered: dict[str, Steered] = {}
        self._verdicts: defaultdict[str, list[str]] = defaultdict(list)
        self._put_off: set[str] = set()
        self._users = {name: DirectClient(broker, name) for name in (UPSTREAM, WEBHOOK, PERSON)}
        self._users[UPSTREAM].subscribe(Exchange.EVENTS, "#", self._event)
        self._answers = f"sms.reply.{PERSON}.1"
        broker.declare_queue(self._answers, _OWN, None)
        broker.bind(self._answers, Exchange.REPLIES, "#", None)

    def publish(self, step: Publish) -> None:
        """Publish a command once; the broker confirms it."""
        first_at = self._first_at(step)
        sms: dict[str, Any] = {"messageId": step.id, "text": f"#{step.id}"}
        sms["to"] = step.to if step.valid else "12"
        if step.life_s is not None:
            end = first_at + step.life_s
            sms["expiresAt"] = datetime.fromtimestamp(end, UTC).isoformat()
        properties = Basic.Properties(
            message_id=step.id, message_type="SendSms.v1", delivery_mode=2,
            expiration=None if step.queue_s is None else str(int(step.queue_s * 1000)),
        )  # fmt: skip
        self._put(Exchange.COMMANDS, _KEYS[step.lane], sms, properties)

    def _first_at(self, step: Publish) -> float:
        """The time of its first copy, which is noted."""
        if step.id not in self.commands:
            at = self._now()
            life_s = LIVES_S[step.lane] + _ROOM_S if step.life_s is None else step.life_s
            self.commands[step.id] = Command(
                id=step.id,
                to=step.to,
                lane=step.lane,
                resends=step.lane == "transactional",
                at=at,
                expires_at=at + life_s,
                valid=step.valid,
            )
        return self.commands[step.id].at

    def reported(self, report: Report) -> None:
        """Note a report that a provider makes now."""
        self.reports.append(replace(report, at=self._now()))

    def call_back(self, provider: str, kind: str, fields: Mapping[str, str]) -> None:
        """Publish a callback of a provider."""
        received = datetime.fromtimestamp(self._now(), UTC).isoformat()
        raw = {"provider": provider, "kind": kind, "receivedAt": received, "fields": dict(fields)}
        self._put(
            Exchange.REPORTS, f"report.{provider}", raw, Basic.Properties(delivery_mode=2), WEBHOOK
        )

    def steer(self, step: Steer, command_id: str, issued_at: float) -> None:
        """Publish a control command once."""
        issued = datetime.fromtimestamp(issued_at, UTC).isoformat()
        body = {"name": step.name, "commandId": command_id, "issuedAt": issued, **step.fields}
        body["reason"] = "a history"
        properties = Basic.Properties(user_id=PERSON, correlation_id=command_id, delivery_mode=2)
        self._steered[command_id] = Steered(PERSON, command_id, step.name, issued_at)
        self._put(Exchange.CONTROL, f"control.command.{step.name}", body, properties, PERSON)

    def facts_of_steering(self) -> list[Steered]:
        """Every command with its answers."""
        self.read_answers()
        return [
            Steered(
                each.user,
                ident,
                each.name,
                each.at,
                tuple(self._verdicts[ident]),
                put_off=ident in self._put_off,
            )
            for ident, each in self._steered.items()
        ]

    def _put(
        self,
        exchange: str,
        key: str,
        body: object,
        properties: Basic.Properties,
        user: str = UPSTREAM,
    ) -> None:
        encoded = json.dumps(body).encode()
        self._users[user].publish(exchange, key, encoded, properties=properties)

    def _event(self, delivery: Delivery) -> None:
        read = json.loads(delivery.entry.message.body)
        self.events.append(
            Event(read["event"], read["messageId"], read["eventId"], self._now(), read)
        )

    def read_answers(self) -> None:
        """Take every reply that came, and note its verdict; a broker that restarts keeps none."""
        ready = self._broker.queues[self._answers].ready
        while ready:
            read = json.loads(ready.popleft().message.body)
            if read["code"] == "store unavailable":
                self._put_off.add(read["commandId"])
            else:
                self._verdicts[read["commandId"]].append(read["verdict"])
