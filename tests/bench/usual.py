"""The usual handwritten worker: what most teams would write first.

aio-pika with its callback, pydantic, one insert and one update by motor, httpx with its own pool,
two confirmed events, ack.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import httpx
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel


class Command(BaseModel):
    messageId: str  # noqa: N815 - the wire's spelling
    to: str
    text: str


async def main():
    in_flight = int(os.environ["IN_FLIGHT"])
    client = AsyncIOMotorClient(os.environ["MONGO_URL"], w="majority", journal=True)
    collection = client["usual"][uuid4().hex]
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    http = httpx.AsyncClient(limits=limits, timeout=30)
    url = os.environ["PROVIDER_URL"] + "/version1/messaging"
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    channel = await connection.channel()
    events = await channel.get_exchange("sms.events", ensure=False)

    async def publish(key, ident):
        body = f'{{"messageId": "{ident}"}}'.encode()
        await events.publish(aio_pika.Message(body, message_id=f"{ident}-{key}"), key)

    async def handle(message):
        async with message.process():
            command = Command.model_validate_json(message.body)
            await collection.insert_one({"_id": command.messageId, "at": datetime.now(UTC)})
            form = {"username": "sandbox", "to": command.to, "message": command.text}
            response = await http.post(url, data=form, headers={"apiKey": "k"})
            found = response.json()["SMSMessageData"]["Recipients"][0]
            await collection.update_one(
                {"_id": command.messageId}, {"$set": {"state": "sent", "pid": found["messageId"]}}
            )
            await publish("sms.submitted", command.messageId)
            await publish("sms.sent", command.messageId)

    await channel.set_qos(in_flight)
    queue = await channel.get_queue("sms.send.bulk", ensure=False)
    await queue.consume(handle)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
