"""Nothing that comes over a wire stops the system, harms a neighbour or shows up in a log.

Every entry point is driven with generated hostile values beside ordinary traffic: the lanes by an
upstream service, the control queues by an administrator, every address of the webhook by a
provider, `sms.reports` by the webhook's login, and the answers of a provider to our own calls. What
was taken is found again: as an event, kept in the store, or in `sms.dead` with a reason.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import pytest
from yarl import URL

from contracts.names import Exchange
from tests.support import hostile
from tests.support.recipients import new_number
from tests.support.stranger import stranger
from tests.support.waiting import until
from worker.domain.messages import masking
from worker.domain.migration.phases import Phase
from worker.lab.local.port import HOST, Port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.whole_system import System

COUNT: Final = 120
WITHIN_S: Final = 40.0
SETTLED: Final = {"sms.sent", "sms.failed", "sms.expired", "sms.rejected", "sms.unknown"}
SIGNS: Final = (
    "connection lost", "consumer failed", "handler failed", "delivery not settled",
    "publish not confirmed", "Traceback", "the process died",
)  # fmt: skip
"""What a log says when something got further than it should."""

_HEADED: Final = re.compile(rb"headed-(\d+)%3B")


class Front:
    """Stands before the target's simulator: answers some messages itself, with raw octets."""

    def __init__(self, behind: str) -> None:
        self._behind = urlsplit(behind)
        self.answers: list[bytes] = []
        self.asked: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(size[1])) if size else b""
            ours = _HEADED.search(body)
            closing = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"\r\nConnection: close", head)
            if ours:
                self.asked.add(int(ours[1]))
            writer.write(self.answers[int(ours[1])] if ours else await self._pass(closing + body))
            await writer.drain()
        writer.close()

    async def _pass(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


@pytest.fixture(scope="module")
def front_port() -> Port:
    """Where the workers find the target."""
    return Port()


@pytest.fixture(scope="module")
def profile(front_port: Port) -> dict[str, str]:
    """Workers that call the front; a breaker that opened would keep the hostile answers away."""
    return {
        "SMS_TARGET__BASE_URL": f"http://{HOST}:{front_port}",
        "SMS_TARGET__BREAKER__CONSECUTIVE_FAILURES": "1000",
        "SMS_TARGET__BREAKER__WINDOW": "1000",
        "SMS_TARGET__BREAKER__MINIMUM_CALLS": "1000",
    }


@pytest.fixture(scope="module")
async def front(system: System, front_port: Port) -> AsyncIterator[Front]:
    """The only way from the workers to the target."""
    made = Front(system.stack.http["africastalking"])
    async with await asyncio.start_server(made.serve, HOST, front_port.number):
        yield made


@pytest.fixture
async def healthy(system: System, front: Front) -> System:
    """The system with no fault in force."""
    assert front
    await system.heal()
    return system


@asynccontextmanager
async def unharmed(system: System, prefix: str) -> AsyncIterator[None]:
    """Ordinary messages all the while are all sent; no replica lost anything or said too much."""
    names: list[str] = []
    stop = asyncio.Event()

    async def traffic() -> None:
        while not stop.is_set():
            names.append(f"{prefix}-{len(names)}")
            lane = ("transactional", "bulk")[len(names) % 2]
            await system.send(names[-1], lane=lane, text=hostile.MARK)
            await asyncio.sleep(0.1)  # the load: ten a second

    publishing = asyncio.create_task(traffic())
    try:
        yield
    finally:
        stop.set()
        await publishing

    def unsent() -> list[str]:
        return [name for name in names if system.events.first(name, "sms.sent") is None]

    await until(lambda: not unsent(), WITHIN_S, lambda: system.story(unsent(), "not sent"))
    for name, _ in system.workers():
        assert (await system.ready(name))[0] == 200
    assert len(system.workers()) == 2
    say_nothing(system)


def say_nothing(system: System) -> None:
    """No log line tells of a fault of ours, of a text, of a number or of a credential."""
    passwords = [urlsplit(url).password for url in system.stack.amqp.values()]
    secrets = [*system.stack.secrets.values(), *passwords, hostile.MARK, hostile.NUMBER]
    for name in ("replica-1", "replica-2", "webhook"):
        log = system.stack.directory / "logs" / f"{name}.log"
        text = log.read_text(encoding="utf-8", errors="replace")
        found = [sign for sign in (*SIGNS, *filter(None, secrets)) if sign in text]
        lines = [line for line in text.splitlines() if any(sign in line for sign in found)]
        assert text, f"{name}: expected a log, got an empty one"
        assert not found, f"{name}: {found}\n" + "\n".join(line[:2000] for line in lines[:5])


async def test_every_hostile_command_is_settled_with_a_reason(healthy: System) -> None:
    async with unharmed(healthy, "beside-commands"), stranger(healthy.stack.amqp["upstream"]) as by:
        taken = []
        for case in hostile.commands(COUNT):
            octets = case.properties.octets(message_id=case.name, correlation_id="c", expires=True)
            key = ("send", "send.bulk", "send.nowhere")[case.number % 3]
            if await by.publish(Exchange.COMMANDS, key, case.body, octets):
                taken.append(case)
        assert len(taken) > COUNT // 2, f"the broker itself refused {by.refused}"

        def unsettled() -> list[hostile.Case]:
            dead = {each["body"]: each["reason"] for each in healthy.dead.all}
            return [
                case
                for case in taken
                if not dead.get(case.body) and not SETTLED & set(healthy.events.names(case.name))
            ]

        def story() -> str:
            return "\n".join(f"{case.name}: {case.body[:300]!r}" for case in unsettled()[:5])

        await until(lambda: not unsettled(), WITHIN_S, story)


async def test_every_hostile_control_message_is_answered(healthy: System) -> None:
    user, url = "administrator", healthy.stack.amqp["administrator"]
    answered: set[str] = set()

    async def note(reply: aio_pika.abc.AbstractIncomingMessage) -> None:
        answered.add((reply.routing_key or "").rpartition(".")[2])

    async with (
        unharmed(healthy, "beside-control"),
        stranger(url) as by,
        await aio_pika.connect(url) as connection,
    ):
        channel = await connection.channel()
        queue = await channel.declare_queue(f"sms.reply.{user}.hostile", exclusive=True)
        await queue.consume(note, no_ack=True)
        wanted = set()
        for number, key, body, properties in hostile.replies_wanted(COUNT // 2):
            ident = f"hostile-{number}"
            await queue.bind(Exchange.REPLIES, f"reply.{user}.{ident}")
            octets = properties.octets(correlation_id=ident, user_id=user)
            if await by.publish(Exchange.CONTROL, key, body, octets):
                wanted.add(ident)
        assert len(wanted) > COUNT // 4, f"the broker itself refused {by.refused}"
        await until(lambda: wanted <= answered, WITHIN_S, lambda: f"not: {wanted - answered}")


async def kept(system: System, case: str) -> bool:
    """Whether a report with that reason or provider's id is in the store or in `sms.dead`."""
    if any(case.encode() in each["body"] and each["reason"] for each in system.dead.all):
        return True
    query = {"$or": [{"reason": case}, {"pid": case}]}
    return await system.store["reports"].find_one(query) is not None


async def wished(system: System, number: str) -> bool:
    """Whether a wish of that number is in the store."""
    key = system.stack.secrets["hash_key"].encode()
    query = {"_id": masking.recipient(key, number).hash}
    return await system.store["suppressions"].find_one(query) is not None


async def call(system: System, provider: str, each: hostile.Callback, **marks: str) -> bool:
    """Whether a callback was answered 200; else it was refused with a reason."""
    token = system.stack.secrets[f"{provider}_report_token"]
    address = f"{system.stack.http['webhook']}/{each.kind}/{provider}/{token}"
    target = URL(address + each.target(**marks), encoded=True)
    headers = {"Content-Type": each.content_type.encode("ascii", "replace").decode()}
    async with system.http.post(target, data=each.body, headers=headers) as answer:
        said = await answer.text()
        assert answer.status == 200 or (400 <= answer.status < 500 and said), (each, said)
        return answer.status == 200


async def test_every_callback_answered_200_is_kept_or_dead(healthy: System) -> None:
    taken: dict[str, str] = {}
    async with unharmed(healthy, "beside-callbacks"):
        for provider, to in (("africastalking", "phoneNumber"), ("legacy", "to")):
            for number, each in enumerate(hostile.callbacks(COUNT // 2)):
                case, subscriber = f"case-{provider}-{number}.", new_number()
                marks = {"failureReason": case, "reason": case}
                if each.kind != "reports" and number % 2:
                    marks[to] = subscriber.replace("+", "%2B")
                if await call(healthy, provider, each, **marks):
                    taken[case] = subscriber
        assert len(taken) > COUNT // 4

        async def lost() -> list[str]:
            cases = list(taken.items())
            return [
                c for c, to in cases if not await kept(healthy, c) and not await wished(healthy, to)
            ]

        async def none_lost() -> bool:
            return not await lost()

        await until(none_lost, WITHIN_S, lost)


async def test_every_hostile_report_of_the_webhooks_login_is_kept_or_dead(healthy: System) -> None:
    async with unharmed(healthy, "beside-reports"), stranger(healthy.stack.amqp["webhook"]) as by:
        taken = {
            ident: body
            for ident, key, body, made in hostile.raw_reports(COUNT // 2)
            if await by.publish(Exchange.REPORTS, key, body, made.octets(message_id=ident))
        }
        assert len(taken) > COUNT // 4, f"the broker itself refused {by.refused}"

        async def lost() -> list[str]:
            dead = {each["body"] for each in healthy.dead.all if each["reason"]}
            missing = [ident for ident, body in taken.items() if body not in dead]
            return [ident for ident in missing if not await kept(healthy, ident)]

        async def none_lost() -> bool:
            return not await lost()

        await until(none_lost, WITHIN_S, lost)


async def test_every_message_with_a_hostile_answer_comes_to_an_end(
    healthy: System, front: Front
) -> None:
    await healthy.put(Phase.COMPLETE_MIGRATION, 100)
    made, front.answers = hostile.answers(COUNT // 2), hostile.raw_answers(COUNT // 2)
    rules = [
        {"match": {"text_regex": f"answered-{n};"}, "action": action}
        for n, action in enumerate(made)
    ]
    await healthy.faults("africastalking", *rules)
    names = [f"{how}-{n}" for n in range(COUNT // 2) for how in ("answered", "headed")]
    async with unharmed(healthy, "beside-answers"):
        for number, name in enumerate(names):
            lane = ("transactional", "bulk")[number // 2 % 2]
            await healthy.send(name, lane=lane, text=f"{name};")

        def open_ones() -> list[str]:
            return [name for name in names if not SETTLED & set(healthy.events.names(name))]

        await until(lambda: not open_ones(), 60, lambda: healthy.story(open_ones()[:3], "open"))
    assert len(front.asked) > COUNT // 4, "most raw answers were never asked for"
