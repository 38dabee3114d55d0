"""`sms-worker dead` against a real broker, database, worker and provider.

The provider refuses a message by its text until a test lets it pass; one round is all the budget,
so what is refused is dead at once. The provider's journal says what was sent, and how often.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aio_pika
import aiohttp
import pika
import pytest
from pymongo import AsyncMongoClient
from typer.testing import CliRunner

from contracts.names import Exchange, Header, Queue, retry_queue
from tests.support.waiting import until, until_equal
from worker.app.sending import command_decoder
from worker.broker.connection import BrokerConnection
from worker.broker.dead import DeadQueue, dead_queue
from worker.broker.publisher import AmqpPublisher
from worker.cli import app
from worker.clock import SystemClock
from worker.handlers.replay import NotReplayed, Replay, Replayed, Wish
from worker.lab.local.stack import Stack
from worker.ports.broker import Incoming
from worker.service import Background
from worker.settings.model import MessageSettings
from worker.store import messages
from worker.store.client import Database as Store
from worker.store.replay import ReplayStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from click.testing import Result

    from worker.handlers.dead_letters import DeadLetter
    from worker.lab.local.broker import Broker

NUMBER = "+260977123456"


class World:
    """One worker, its providers, and a client who sees every event."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.http = http
        self.events: list[dict[str, Any]] = []

    async def publish(
        self, text: str, key: str = "send.transactional", ident: str = "", **fields: object
    ) -> str:
        """Publish a command; returns its id."""
        ident = ident or f"m-{uuid.uuid4()}"
        body = json.dumps({"messageId": ident, "to": NUMBER, "text": text, **fields}).encode()
        await self.raw(body, key, ident)
        return ident

    async def raw(self, body: bytes, key: str, ident: str | None) -> None:
        """Publish bytes as a command, with a client that makes no id up."""
        await asyncio.to_thread(self._raw, body, key, ident)

    def _raw(self, body: bytes, key: str, ident: str | None) -> None:
        parameters = pika.URLParameters(self.stack.amqp["upstream"])
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            properties = pika.BasicProperties(message_id=ident)
            channel.basic_publish(Exchange.COMMANDS, key, body, properties)

    async def refuse(self, *texts: str) -> None:
        """From now on the provider refuses these texts, and only these."""
        rules = [
            {"match": {"text_regex": text}, "action": {"do": "refuse", "code": "not_routable"}}
            for text in texts
        ]
        await self._put(rules)

    async def _put(self, rules: list[dict[str, Any]]) -> None:
        url = self.stack.http["legacy-control"] + "/faults"
        async with self.http.put(url, json=rules) as answer:
            answer.raise_for_status()

    async def sent(self, text: str) -> int:
        """How often the provider took a text."""
        url = self.stack.http["legacy-control"] + "/journal?limit=100000"
        async with self.http.get(url) as answer:
            return sum(entry["text"] == text for entry in (await answer.json())["entries"])

    def told(self, ident: str) -> list[str]:
        """Events of a message in the order they came, each once."""
        seen = {e["eventId"]: e["event"] for e in self.events if e["messageId"] == ident}
        return list(seen.values())

    def event(self, ident: str, name: str) -> dict[str, Any]:
        """The last event of that name."""
        return [e for e in self.events if (e["messageId"], e["event"]) == (ident, name)][-1]

    async def until_told(self, ident: str, name: str) -> None:
        """Wait for an event."""
        await until(lambda: name in self.told(ident))

    async def dead(self, ident: str) -> list[dict[str, Any]]:
        """Dead letters of that name, as `dead list --json` says."""
        return [each for each in await self.list() if each["id"] == ident]

    async def list(self) -> list[dict[str, Any]]:
        """All dead letters."""
        shown = await cli("dead", "list", "--json")
        assert shown.exit_code == 0, shown.output
        return [json.loads(line) for line in shown.stdout.splitlines()]

    async def until_dead(self, ident: str, count: int = 1) -> None:
        """Wait until so many letters bear that name."""

        async def there() -> bool:
            return len(await self.dead(ident)) >= count

        await until(there)

    async def kill_by(self, text: str, key: str = "send.transactional", **fields: object) -> str:
        """Have a message refused until it is dead; the provider then takes everything again."""
        await self.refuse(text)
        ident = await self.publish(text, key, **fields)
        await self.until_dead(ident)
        await self.refuse()
        return ident

    async def record(self, ident: str) -> dict[str, Any]:
        """What is stored of a message."""
        async with AsyncMongoClient(self.stack.mongo_url, tz_aware=True) as client:
            found = await client["sms"][messages.COLLECTION].find_one({"_id": ident})
        assert found is not None
        return found

    async def change(self, ident: str, fields: Mapping[str, object]) -> None:
        """Change what is stored, as another life would have left it."""
        async with AsyncMongoClient(self.stack.mongo_url) as client:
            await client["sms"][messages.COLLECTION].update_one({"_id": ident}, {"$set": fields})

    async def forget(self, ident: str) -> None:
        """Remove the record, as its expiry would."""
        async with AsyncMongoClient(self.stack.mongo_url) as client:
            await client["sms"][messages.COLLECTION].delete_one({"_id": ident})


async def cli(*arguments: str, answer: str | None = None) -> Result:
    """Run a command as a person would; in a thread, because it runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=answer)


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongo_url: str
) -> AsyncIterator[World]:
    profile = {"SMS_ROUNDS_TRANSACTIONAL": "1", "SMS_ROUNDS_BULK": "1"}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MONGO_URL", mongo_url)
        environment.setenv("AMQP_URL", broker.urls["worker"])
        for user, url in broker.urls.items():
            environment.setenv(f"AMQP_URL_{user.upper()}", url)
        directory = tmp_path_factory.mktemp("dead")
        stack = Stack(directory, replicas=1, profile=profile)
        environment.setenv("SMS_HASH_KEY", stack.secrets["hash_key"])
        connection = await aio_pika.connect(broker.urls["upstream"])
        async with connection, aiohttp.ClientSession() as http:
            found = World(stack, http)
            await _watch(connection, found)
            async with stack:
                yield found


async def _watch(connection: aio_pika.abc.AbstractConnection, world: World) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue("sms.own.upstream.dead-tests", exclusive=True)
    await queue.bind(Exchange.EVENTS, "sms.*")

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        world.events.append(json.loads(message.body))

    await queue.consume(take, no_ack=True)


def words() -> str:
    """A text nobody sent before."""
    return f"code {uuid.uuid4()}"


# --- looking ---------------------------------------------------------------------------------


async def test_a_listed_letter_says_why_and_hides_who_and_what(world: World) -> None:
    text = words()
    ident = await world.kill_by(text)
    (letter,) = await world.dead(ident)
    assert letter["source"] == Queue.TRANSACTIONAL
    assert letter["reason"].startswith("failed: no provider takes it")
    assert letter["attempts"] == 1
    assert letter["recipient"] == "+260******456"
    assert letter["firstAt"] <= letter["lastAt"]
    shown = await cli("dead", "list")
    assert ident in shown.stdout
    assert text not in shown.stdout
    assert NUMBER not in shown.stdout


async def test_looking_loses_and_reorders_nothing(world: World) -> None:
    for _ in range(3):
        await world.kill_by(words())
    before = [letter["id"] for letter in await world.list()]
    assert len(before) >= 3
    for command in (["list"], ["show", before[1]]):
        assert (await cli("dead", *command)).exit_code == 0
    assert [letter["id"] for letter in await world.list()] == before
    some = await cli("dead", "list", "--limit", "2")
    assert some.stdout.endswith(f"2 dead letters, {len(before) - 2} more\n")
    assert sorted(letter["id"] for letter in await world.list()) == sorted(before)


async def test_show_hides_text_and_number(world: World) -> None:
    text = words()
    ident = await world.kill_by(text)
    shown = json.loads((await cli("dead", "show", ident)).stdout)
    assert shown["body"] == {
        "messageId": ident,
        "to": "+260******456",
        "text": f"({len(text)} characters)",
    }
    assert text not in json.dumps(shown)
    assert shown["headers"][Header.SOURCE] == Queue.TRANSACTIONAL


async def test_show_with_body_shows_it_as_it_came(world: World) -> None:
    text = words()
    ident = await world.kill_by(text)
    shown = json.loads((await cli("dead", "show", ident, "--with-body")).stdout)
    assert (shown["body"]["text"], shown["body"]["to"]) == (text, NUMBER)


async def test_a_letter_that_is_not_there_cannot_be_shown(world: World) -> None:
    shown = await cli("dead", "show", f"nobody-{world.stack.directory.name}")
    assert shown.exit_code == 1
    assert "no dead letter is called nobody" in shown.stderr


# --- dropping --------------------------------------------------------------------------------


async def test_a_dropped_letter_is_gone_and_no_other(world: World) -> None:
    kept, dropped = await world.kill_by(words()), await world.kill_by(words())
    assert (await cli("dead", "drop", dropped, "--yes")).exit_code == 0
    assert await world.dead(dropped) == []
    assert len(await world.dead(kept)) == 1


async def test_drop_asks_and_takes_no_for_an_answer(world: World) -> None:
    ident = await world.kill_by(words())
    asked = await cli("dead", "drop", ident, answer="n\n")
    assert "nothing dropped" in asked.stdout
    assert len(await world.dead(ident)) == 1
    assert (await cli("dead", "drop", ident, answer="y\n")).exit_code == 0
    assert await world.dead(ident) == []


@pytest.mark.parametrize("arguments", [[], ["--all", "x"], ["x", "--reason", "y"]])
@pytest.mark.parametrize("command", ["drop", "replay"])
async def test_a_selection_says_exactly_one_thing(command: str, arguments: list[str]) -> None:
    refused = await cli("dead", command, *arguments)
    assert refused.exit_code == 2
    assert "exactly one of them" in refused.stderr


# --- replaying -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["send.transactional", "send.bulk"])
async def test_a_replayed_message_is_sent_once(world: World, key: str) -> None:
    text = words()
    ident = await world.kill_by(text, key)
    assert world.told(ident) == ["sms.failed"]
    replayed = await cli("dead", "replay", ident)
    assert replayed.exit_code == 0, replayed.output
    await world.until_told(ident, "sms.delivered")
    assert await world.sent(text) == 1
    assert await world.dead(ident) == []
    record = await world.record(ident)
    assert (record["state"], record["generation"], record["epoch"]) == ("accepted", 2, 2)
    assert world.event(ident, "sms.sent")["possibleDuplicate"] is False


async def test_a_replay_that_fails_again_is_dead_again_with_an_event_of_its_own(
    world: World,
) -> None:
    text = words()
    ident = await world.kill_by(text)
    await world.refuse(text)
    assert (await cli("dead", "replay", ident)).exit_code == 0
    await world.until_dead(ident)
    (letter,) = await world.dead(ident)
    assert (letter["attempts"], letter["replayedBy"]) == (2, "worker")
    failed = {e["eventId"] for e in world.events if e["messageId"] == ident}
    assert len(failed) == 2
    assert await world.sent(text) == 0


async def test_what_is_chosen_by_reason_is_replayed_and_nothing_else(world: World) -> None:
    failed, broken = await world.kill_by(words()), f"b-{uuid.uuid4()}"
    await world.raw(b"{", "send.transactional", broken)
    await world.until_dead(broken)
    assert (await cli("dead", "replay", "--reason", "FAILED: no provider*")).exit_code == 0
    await world.until_told(failed, "sms.sent")
    assert len(await world.dead(broken)) == 1


async def test_what_cannot_be_understood_is_left_with_the_reason(world: World) -> None:
    ident = f"b-{uuid.uuid4()}"
    await world.raw(b"not json", "send.bulk", ident)
    await world.until_dead(ident)
    replayed = await cli("dead", "replay", ident)
    assert replayed.exit_code == 1
    assert "cannot be understood: not JSON" in replayed.stderr
    assert len(await world.dead(ident)) == 1


async def test_what_expired_needs_a_new_end_and_then_is_sent(world: World) -> None:
    text = words()
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    ident = await world.publish(text, expiresAt=past)
    await world.until_dead(ident)
    refused = await cli("dead", "replay", ident)
    assert refused.exit_code == 1
    assert "give --expires-at" in refused.stderr
    assert (await cli("dead", "replay", ident, "--expires-at", "+10m")).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert await world.sent(text) == 1


async def test_a_failed_one_whose_life_is_over_needs_a_new_end(world: World) -> None:
    ident = await world.kill_by(words())
    await world.change(ident, {"expiresAt": datetime.now(UTC) - timedelta(seconds=1)})
    refused = await cli("dead", "replay", ident)
    assert "its life ended at" in refused.stderr
    assert (await world.record(ident))["state"] == "failed"


@pytest.mark.parametrize("given", ["yesterday", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00"])
async def test_an_end_that_is_none_is_refused(given: str) -> None:
    refused = await cli("dead", "replay", "x", "--expires-at", given)
    assert refused.exit_code == 2
    assert "--expires-at: expected" in refused.stderr


@pytest.mark.parametrize("result", ["accepted", "unknown", None])
async def test_what_a_provider_may_have_taken_needs_a_word_and_is_marked(
    world: World, result: str | None
) -> None:
    text = words()
    ident = await world.kill_by(text)
    await world.change(ident, {"attempts.1.result": result})
    refused = await cli("dead", "replay", ident)
    assert refused.exit_code == 1
    assert "--accept-duplicate" in refused.stderr
    assert await world.sent(text) == 0
    assert (await cli("dead", "replay", ident, "--accept-duplicate")).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert world.event(ident, "sms.sent")["possibleDuplicate"] is True


async def test_an_outcome_that_came_too_late_counts(world: World) -> None:
    ident = await world.kill_by(words())
    await world.change(ident, {"attempts.1.late": {"result": "accepted"}})
    assert "took it" in (await cli("dead", "replay", ident)).stderr


async def test_a_duplicate_nobody_takes_is_announced_as_no_failure(world: World) -> None:
    text = words()
    ident = await world.kill_by(text)
    await world.change(ident, {"attempts.1.result": "unknown"})
    await world.refuse(text)
    assert (await cli("dead", "replay", ident, "--accept-duplicate")).exit_code == 0

    async def state() -> str:
        return str((await world.record(ident))["state"])

    await until_equal(state, "unknown")
    assert len({e["eventId"] for e in world.events if e["messageId"] == ident}) == 1


async def test_another_message_of_the_same_id_is_not_replayed(world: World) -> None:
    ident = await world.publish(words())
    await world.until_told(ident, "sms.sent")
    await world.publish("something else", ident=ident)
    await world.until_dead(ident)
    assert "id conflict" in (await cli("dead", "replay", ident, "--accept-duplicate")).stderr


async def test_what_has_its_id_in_the_body_alone_is_called_and_replayed_by_it(
    world: World,
) -> None:
    text, ident = words(), f"body-{uuid.uuid4()}"
    await world.refuse(text)
    body = json.dumps({"messageId": ident, "to": NUMBER, "text": text}).encode()
    await world.raw(body, "send", None)
    await world.until_dead(ident)
    await world.refuse()
    assert (await cli("dead", "replay", ident)).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert await world.sent(text) == 1


async def test_what_came_without_an_id_has_none_after_death(world: World) -> None:
    body = json.dumps({"to": NUMBER, "text": words()}).encode()
    name = f"sha256-{hashlib.sha256(body).hexdigest()[:12]}"
    await world.raw(body, "send", None)
    await world.until_dead(name)
    replayed = await cli("dead", "replay", name)
    assert "messageId: expected" in replayed.stderr


async def test_a_parked_copy_bears_the_id_of_its_body(world: World) -> None:
    """The client library makes an id up where a copy has none: it would contradict the body's."""
    link = BrokerConnection(world.stack.amqp["worker"], "test", Background())
    await link.start()
    try:
        publisher = AmqpPublisher(link, Background())
        body = b'{"messageId": "in-the-body"}'
        incoming = Incoming(queue=Queue.BULK, body=body, redelivered=False, headers={})
        await publisher.park(incoming, "10m", {})
        channel = await link.channel()
        queue = await channel.get_queue(retry_queue("10m"), ensure=False)
        parked = await queue.get()
        await parked.ack()
        assert parked.message_id == "in-the-body"
        await publisher.stop()
    finally:
        await link.stop()


async def test_a_letter_without_a_record_is_published_anew(world: World) -> None:
    text = words()
    ident = await world.kill_by(text)
    await world.forget(ident)
    assert (await cli("dead", "replay", ident)).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert await world.sent(text) == 1


async def test_a_letter_that_died_twice_is_sent_once(world: World) -> None:
    """The command came again while it was dead: two letters of one name."""
    text = words()
    ident = await world.kill_by(text)
    await world.publish(text, ident=ident)
    await world.until_dead(ident, 2)
    await cli("dead", "replay", ident)
    await world.until_told(ident, "sms.sent")
    await cli("dead", "replay", ident)
    assert await world.sent(text) == 1
    assert world.told(ident).count("sms.sent") == 1


# --- a replay that dies ----------------------------------------------------------------------


class Dies:
    """An outlet whose process dies before the copy is out."""

    async def back(self, letter: DeadLetter, queue: str, headers: Mapping[str, object]) -> None:
        raise ConnectionError(letter.name, queue, headers)


async def first_of(dead: DeadQueue, ident: str) -> DeadLetter:
    found = [letter async for letter, _ in dead.letters() if letter.name == ident]
    return found[0]


@pytest.fixture
async def replaying(world: World) -> AsyncIterator[Callable[[object], Replay]]:
    store, clock = Store(world.stack.mongo_url, "sms", timeout_s=5.0), SystemClock()

    def build(outlet: Any) -> Replay:
        return Replay(
            decoder=command_decoder(MessageSettings()),
            records=ReplayStore(store[messages.COLLECTION], clock),
            outlet=outlet,
            clock=clock,
            who="test",
        )

    yield build
    await store.close()


@pytest.mark.parametrize("known", [True, False], ids=["with a record", "without"])
async def test_a_replay_that_dies_before_the_copy_loses_nothing(
    world: World, replaying: Callable[[object], Replay], *, known: bool
) -> None:
    text = words()
    ident = await world.kill_by(text)
    if not known:
        await world.forget(ident)
    async with dead_queue(world.stack.amqp["worker"]) as dead:
        letter = await first_of(dead, ident)
        with pytest.raises(ConnectionError):
            await replaying(Dies())(letter, Wish())
    assert (await world.record(ident))["state"] == "waiting"
    assert len(await world.dead(ident)) == 1
    assert (await cli("dead", "replay", ident)).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert await world.sent(text) == 1
    assert await world.dead(ident) == []


async def test_a_replay_that_dies_before_the_acknowledgement_doubles_nothing(
    world: World, replaying: Callable[[object], Replay]
) -> None:
    text = words()
    ident = await world.kill_by(text)
    async with dead_queue(world.stack.amqp["worker"]) as dead:
        letter = await first_of(dead, ident)
        assert isinstance(await replaying(dead)(letter, Wish()), Replayed)
    await world.until_told(ident, "sms.sent")
    assert len(await world.dead(ident)) == 1
    again = await cli("dead", "replay", ident)
    assert again.exit_code == 1
    assert "took it" in again.stderr
    assert await world.sent(text) == 1


async def test_two_copies_of_one_round_send_once(
    world: World, replaying: Callable[[object], Replay]
) -> None:
    text = words()
    ident = await world.kill_by(text)
    async with dead_queue(world.stack.amqp["worker"]) as dead:
        letter = await first_of(dead, ident)
        again = replaying(dead)
        both = await asyncio.gather(again(letter, Wish()), again(letter, Wish()))
    assert any(isinstance(each, Replayed) for each in both)
    await world.until_told(ident, "sms.sent")
    await asyncio.gather(*(world.until_told(ident, "sms.delivered") for _ in range(2)))
    assert await world.sent(text) == 1


async def test_what_a_worker_holds_is_left_alone(
    world: World, replaying: Callable[[object], Replay]
) -> None:
    ident = await world.kill_by(words())
    await world.change(ident, {"state": "submitting"})
    async with dead_queue(world.stack.amqp["worker"]) as dead:
        letter = await first_of(dead, ident)
        refused = await replaying(dead)(letter, Wish(accept_duplicate=True))
    assert isinstance(refused, NotReplayed)
    assert "in a worker's hands" in refused.why


async def test_a_delivery_report_goes_back_to_its_queue(world: World) -> None:
    connection = await aio_pika.connect(world.stack.amqp["webhook"])
    ident = f"r-{uuid.uuid4()}"
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(Exchange.REPORTS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{}", message_id=ident), "report.legacy")
    await world.until_dead(ident)
    replayed = await cli("dead", "replay", ident)
    assert f"replayed to {Queue.REPORTS}" in replayed.stdout
    await world.until_dead(ident)


# --- what the broker could route to nobody -----------------------------------------------------


async def test_a_command_with_an_unknown_key_is_rejected_by_name(world: World) -> None:
    ident = await world.publish(words(), key="send.otp")
    await world.until_told(ident, "sms.rejected")
    await world.until_dead(ident)
    event = world.event(ident, "sms.rejected")
    assert event["reason"] == "no such key: send.otp"
    assert event["problems"][0].startswith("routing key: expected send or send.transactional or")
    (letter,) = await world.dead(ident)
    assert (letter["source"], letter["reason"]) == (
        Queue.UNROUTED_COMMANDS,
        f"no such key: send.otp: {event['problems'][0]}",
    )


async def test_an_unknown_key_twice_is_one_event_twice(world: World) -> None:
    ident = await world.publish(text := words(), key="send.otp")
    await world.publish(text, key="send.otp", ident=ident)
    await world.until_dead(ident, 2)
    assert len({e["eventId"] for e in world.events if e["messageId"] == ident}) == 1


async def test_an_unknown_key_over_an_unreadable_body_names_both(world: World) -> None:
    await world.raw(b"{}", "send.otp", ident := f"u-{uuid.uuid4()}")
    await world.until_told(ident, "sms.rejected")
    problems = world.event(ident, "sms.rejected")["problems"]
    assert any("routing key" in each for each in problems)
    assert any(each.startswith("to:") for each in problems)


async def test_an_unknown_key_touches_no_message_that_was_sent(world: World) -> None:
    ident = await world.publish(text := words())
    await world.until_told(ident, "sms.sent")
    await world.publish(text, key="send.otp", ident=ident)
    await world.until_dead(ident)
    assert "sms.rejected" not in world.told(ident)
    assert (await world.record(ident))["state"] == "accepted"


async def test_what_came_through_no_lane_is_replayed_into_the_one_named(world: World) -> None:
    text = words()
    ident = await world.publish(text, key="send.otp")
    await world.until_dead(ident)
    assert "give --lane" in (await cli("dead", "replay", ident)).stderr
    assert (await cli("dead", "replay", ident, "--lane", "transactional")).exit_code == 0
    await world.until_told(ident, "sms.sent")
    assert await world.sent(text) == 1
    assert world.event(ident, "sms.sent")["lane"] == "transactional"
    assert (await world.record(ident))["onUnknown"] == "resend"
