"""Commands and queries as inputs: their form, those to begin with, and how they are mutated."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

from contracts.control import COMMANDS, QUERIES
from tests.support import hostile
from tests.support.fakes import HandClock
from tests.torture.fuzz import mutate
from tests.torture.fuzz.targets import documents, wire
from worker.ports.broker import Incoming

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence


def parted(data: bytes) -> Incoming:
    """Routing key, user, correlation id and headers: four lines; the rest is the body."""
    key, user, ident, headers, *body = data.split(b"\n", 4) + [b""] * 4
    read = documents.read(headers)
    texts = [each.decode("utf-8", "replace")[:255] for each in (key, user, ident)]
    return Incoming(
        queue="sms.control.command",
        body=body[0],
        redelivered=False,
        headers=read if isinstance(read, dict) else {},
        user_id=texts[1] or None,
        correlation_id=texts[2] or None,
        routing_key=texts[0],
    )


def joined(key: str, body: bytes, user: str = "ann", headers: str = "{}") -> bytes:
    """One input."""
    return f"{key}\n{user}\nc\n{headers}\n".encode() + body


NAMES: Final = (
    *(str(each.model_fields["name"].default) for each in (*COMMANDS, *QUERIES)),
)  # fmt: skip
_FIELDS: Final[dict[str, Any]] = {
    "set-percentage": {"percentage": 50}, "approve": {"proposal": 1}, "reject": {"proposal": 1},
    "set-flags": {"flags": hostile.FLAGS}, "backup": {"label": "friday"}, "restore": {"to": "1"},
    "set-user-override": {"user": "u.7", "provider": "target"},
    "clear-user-override": {"user": "u.7"},
    "set-branch-override": {"branch": 12, "provider": "legacy"},
    "clear-branch-override": {"branch": 12},
    "enable-provider": {"provider": "target"}, "disable-provider": {"provider": "legacy"},
    "reset-breaker": {"provider": "target"}, "ack": {"alert": "account"},
    "add-suppression": {"number": hostile.NUMBER}, "remove-suppression": {"number": "0977654321"},
    "explain": {"to": hostile.NUMBER}, "preview": {"command": {"name": "advance"}},
}  # fmt: skip


@functools.cache
def seeds() -> Sequence[bytes]:
    """Every command and query as an administrator sends it, and hostile ones."""
    return [*(_seed(name) for name in NAMES), *_others(), *_hostile()]


def _seed(name: str, **more: Any) -> bytes:
    kind = "command" if name in wire.COMMANDS else "query"
    common = {"name": name, "commandId": f"c-{name}"}
    if kind == "command":
        common |= {"issuedAt": HandClock().now().isoformat(), "reason": "because"}
    body = common | _FIELDS.get(name, {}) | more
    return joined(f"control.{kind}.{name}", json.dumps(body).encode())


def _others() -> list[bytes]:
    """Previews of every command, dry runs, and askers that may not."""
    previews = [_seed("preview", command={"name": name, **_FIELDS.get(name, {})})
                for name in wire.COMMANDS]  # fmt: skip
    dry = [_seed(name, dryRun=True) for name in ("advance", "step", "set-flags")]
    body = b'{"commandId": "c", "issuedAt": "2026-03-01T12:16:40Z", "reason": "why"}'
    key, users = "control.command.hold", ("", "eve", "nobody", "A.*", "oda")
    headers = ("x-death", "CC", "x-delivery-count")
    routes = [joined(key, body, headers=f'{{"{name}": 1}}') for name in headers]
    return [*previews, *dry, *(joined(key, body, user) for user in users), *routes]


def _hostile() -> list[bytes]:
    return [joined(key, body) for _, key, body, _ in hostile.replies_wanted(60)]


_document: Final = mutate.json_like(
    (*wire.CONTROL_NAMES, *documents.keys(hostile.FLAGS)),
    (*NAMES, "target", "legacy", "africastalking", "1", "known-good", "friday", 25, 50, 100, 7),
)


def mutated(generator: random.Random, data: bytes) -> bytes | None:
    """Change the body, which stays JSON."""
    head, body = data.split(b"\n", 4)[:4], data.split(b"\n", 4)[4:]
    made = _document(generator, body[0]) if body else None
    return None if made is None else b"\n".join([*head, made])
