"""Ports of the local stack's servers, reserved until the server has taken them.

Rules: the kernel chooses a port. It stays reserved as long as its `Port` is kept, also while its
server is down. The reservation is a bound socket that never listens (`SO_REUSEADDR`, see bind(2)
and socket(7)). The kernel gives the port to no outgoing connection and to no server that asks for
any free port. A server that asks for exactly this port with `SO_REUSEADDR` (all of ours do) gets
it.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


class Port:
    """A reserved TCP port on 127.0.0.1."""

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind((HOST, 0))
        self.number: int = self._kept.getsockname()[1]

    def __str__(self) -> str:
        return str(self.number)

    def __del__(self) -> None:
        self._kept.close()
