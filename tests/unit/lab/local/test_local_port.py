"""Ports of the local stack: nobody else is given one, its server takes it."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from worker.lab.local.port import HOST, Port


async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"served")
    writer.close()


async def served(port: Port) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port.number)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_a_port_kept_is_refused_to_who_does_not_know_of_it() -> None:
    port = Port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port.number))


def test_ports_kept_at_the_same_time_differ() -> None:
    ports = [Port() for _ in range(200)]
    assert len({port.number for port in ports}) == len(ports)


async def test_its_server_takes_it_and_takes_it_again_after_a_restart() -> None:
    port = Port()
    for _ in range(2):
        async with await asyncio.start_server(answer, HOST, port.number):
            assert await served(port) == b"served"


def test_it_is_free_again_when_nobody_keeps_it() -> None:
    number = Port().number
    gc.collect()
    with socket.socket() as other:
        other.bind((HOST, number))
