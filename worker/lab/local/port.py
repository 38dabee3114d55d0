"""Ports of the local stack's servers, reserved until the server has taken them.

Rules: a port is chosen by the kernel and stays reserved as long as its `Port` is kept, also while
its server is down. The reservation is a bound socket that never listens, as bind(2) and socket(7)
describe `SO_REUSEADDR`: neither a connection that goes out nor a server that asks for any free port
is given this one, while a server that asks for this very number with `SO_REUSEADDR` (all of ours
do) gets it.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


class Port:
    """A TCP port on 127.0.0.1 that nobody else is given."""

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind((HOST, 0))
        self.number: int = self._kept.getsockname()[1]

    def __str__(self) -> str:
        return str(self.number)

    def __del__(self) -> None:
        self._kept.close()
