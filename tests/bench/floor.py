"""The floor: the same wire work with none of our logic.

consume -> grouped claim -> POST over the same transport -> grouped outcome -> one confirmed
publish -> ack. What the worker costs above this is what deciding, recording and telling cost.
Nothing here survives a fault; that is the point.
"""

from __future__ import annotations

import asyncio
import os
from uuid import uuid4

import aio_pika
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import UpdateOne

from worker.providers.transport import AiohttpTransport, http_client

GROUP_S = 0.02
ENOUGH = 32


class Group:
    """Operations wait for company, at most `GROUP_S`, and go out together."""

    def __init__(self, write):
        self.write, self.pending, self.arrived = write, [], asyncio.Event()

    async def add(self, operation):
        done = asyncio.get_running_loop().create_future()
        self.pending.append((operation, done))
        if len(self.pending) >= ENOUGH:
            self.arrived.set()
        await done

    async def run(self):
        while True:
            try:
                async with asyncio.timeout(GROUP_S):
                    await self.arrived.wait()
            except TimeoutError:
                pass
            self.arrived.clear()
            batch, self.pending = self.pending, []
            if batch:
                await self.write([operation for operation, _ in batch])
                for _, done in batch:
                    done.set_result(None)


async def main():
    in_flight = int(os.environ["IN_FLIGHT"])
    client = AsyncIOMotorClient(os.environ["MONGO_URL"], w="majority", journal=True)
    collection = client["floor"][uuid4().hex]
    claims = Group(lambda batch: collection.insert_many(batch, ordered=False))
    outcomes = Group(lambda batch: collection.bulk_write(batch, ordered=False))
    http = http_client(AiohttpTransport(connect_timeout_s=3.0, deadline_s=30.0))
    url = os.environ["PROVIDER_URL"] + "/version1/messaging"
    consuming = await aio_pika.connect(os.environ["AMQP_URL"])
    publishing = await aio_pika.connect(os.environ["AMQP_URL"])
    out = await publishing.channel()
    events = await out.get_exchange("sms.events", ensure=False)
    tasks = {asyncio.ensure_future(claims.run()), asyncio.ensure_future(outcomes.run())}

    async def handle(message):
        ident = message.message_id
        await claims.add({"_id": ident, "state": "submitting"})
        form = {"username": "sandbox", "to": "+260977123456", "message": ident}
        await http.post(url, data=form, headers={"apiKey": "k", "Accept": "application/json"})
        await outcomes.add(UpdateOne({"_id": ident}, {"$set": {"state": "accepted"}}))
        await events.publish(aio_pika.Message(b"{}", message_id=ident), "sms.sent", mandatory=False)
        await message.ack()

    async def take(message):
        task = asyncio.ensure_future(handle(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    channel = await consuming.channel()
    await channel.set_qos(in_flight)
    queue = await channel.get_queue("sms.send.bulk", ensure=False)
    await queue.consume(take)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
