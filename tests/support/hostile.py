"""What a stranger with one credential can send, generated: bodies, properties, headers, answers.

Rules: generated from a seed, so that every run sends the same; every case bears its number, by
which its fate is found. `MARK` and `NUMBER` stand in them and must never be seen in a log.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pamqp.commands import Basic

from contracts import control
from contracts.commands import DecodeError, decode_send

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")
SEED: Final = 20261126
MARK: Final = "Vault-code-7788"
NUMBER: Final = "+260977654321"
MAX_FRAME: Final = 131_000
"""A header frame of this length is about what a broker takes by default."""


def generated(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """The same `count` values in every run."""
    found: list[T] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found[:count]


# --- JSON ------------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\ud800",
        "a\udfff",
        "x" * 5000,
        MARK,
        NUMBER,
        "0977*",
        "\u202e",
        "a.b$c",
        "NaN",
    ]
) | st.text(max_size=12)
NUMBERS = st.sampled_from(
    [2**31, 2**63, 2**64, -(2**70), 10**40, 0, -1, 1e308, 1e-320, 5, True, False]
)
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "now",
     "2099-01-01T00:00:00+99:00", "2099-01-01 00:00:00+02", "-0001-01-01T00:00:00Z"]
)  # fmt: skip
DEEP = st.integers(20, 900).map(lambda levels: json.loads("[" * levels + "1" + "]" * levels))
VALUES = st.recursive(
    st.none() | TEXTS | NUMBERS | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ANY = VALUES | DEEP


def one_of_many(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields, and some that nobody knows, with anything in them."""
    return st.dictionaries(st.sampled_from(names) | TEXTS, ANY, min_size=1, max_size=4)


def as_json(value: object, number: int) -> bytes:
    """JSON with the number of the case; what JSON has no word for is written all the same."""
    if isinstance(value, dict):
        value = {**value, "case": number}
    return json.dumps(value).encode()


ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
OCTETS = st.binary(max_size=60) | st.sampled_from(
    [b"\xff\xfe", b"{" * 3000, b'{"a":' * 900, b"[" * 70_000, b" " * 300_000, b'{"to":1e99999}']
)


# --- AMQP properties ---------------------------------------------------------------------------


class Octets(Basic.Properties):
    """Properties with exactly these octets, whatever they say."""

    def __init__(self, octets: bytes) -> None:
        super().__init__()
        self._octets = octets

    def marshal(self) -> bytes:
        return self._octets


def sized(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def short(text: str | bytes) -> bytes:
    octets = text.encode() if isinstance(text, str) else text
    return bytes([len(octets)]) + octets


def entry(name: str | bytes, value: bytes) -> bytes:
    return short(name) + value


def nested(levels: int, *, tables: bool) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"F" + sized(entry("a", value)) if tables else b"A" + sized(value)
    return entry("deep", value)


def _string(octets: bytes) -> bytes:
    return b"S" + sized(octets)


BOMBS = st.sampled_from(
    [
        entry("big", _string(b"x" * (MAX_FRAME - 600))),
        entry("big", _string(b"x" * 20_000)),
        entry("latin", b"A" + sized(_string(b"\xe9" * 100) * 300)),
        entry("latin", _string(b"\xe9" * 16_000)),
        nested(340, tables=False),
        nested(340, tables=True),
        nested(3_000, tables=False),
        b"".join(entry(f"{n:04d}", b"V") for n in range(9_000)),
        entry("n", b"A" + sized((b"d" + struct.pack(">d", 1e300)) * 1_700)),
    ]
)
SCALARS = st.sampled_from(
    [b"V", b"t\x07", b"T" + b"\xff" * 8, b"D\xff\x7f\xff\xff\xff", b"d" + struct.pack(">d", 1e300),
     b"l" + b"\x7f" + b"\xff" * 7, b"f\x7f\xc0\x00\x00", b"A\x00\x00\x00\x00", _string(b"\xff\x00"),
     _string(MARK.encode()), b"x" + sized(b"\x00\xff")]
)  # fmt: skip
OURS = st.sampled_from(
    ["sms-round", "sms-errors", "sms-first-at", "sms-nameless", "sms-report-tries", "sms-replay",
     "x-death", "x-first-death-queue", "x-delivery-count", "traceparent", "plain", b"\xff\xfe"]
)  # fmt: skip
SMALL = st.lists(st.tuples(OURS, SCALARS), min_size=1, max_size=6, unique_by=lambda e: e[0]).map(
    lambda entries: b"".join(entry(name, value) for name, value in entries)
)
HEADERS = BOMBS | SMALL | SMALL
MODES = st.sampled_from([1, 2] * 9 + [0, 3, 255])
"""RabbitMQ 3.10 refuses what does not exist, 4.x hands it on."""
EXPIRATIONS = st.sampled_from([""] * 12 + ["0", "1", "60000", "soon", "-1", "9" * 40, "\u00e9"])
"""In milliseconds; RabbitMQ refuses what is no number."""
STAMPS = st.sampled_from([0, 120, 2**32, 2**53, 2**63 - 1, 2**64 - 1])


@dataclass(frozen=True)
class Properties:
    """Raw properties of a case."""

    headers: bytes
    delivery_mode: int
    timestamp: int
    type: str
    expiration: str

    def octets(
        self,
        *,
        message_id: str = "",
        correlation_id: str = "",
        user_id: str = "",
        expires: bool = False,
    ) -> bytes:
        """On the wire, in the order AMQP gives them; empty texts are left out."""
        expiration = self.expiration if expires else ""
        fields = (
            (13, sized(self.headers)),
            (12, bytes([self.delivery_mode])),
            (10, short(correlation_id) if correlation_id else b""),
            (8, short(expiration) if expiration else b""),
            (7, short(message_id) if message_id else b""),
            (6, struct.pack(">Q", self.timestamp)),
            (5, short(self.type) if self.type else b""),
            (4, short(user_id) if user_id else b""),
        )
        flags = sum(1 << bit for bit, octets in fields if octets)
        return struct.pack(">H", flags) + b"".join(octets for _, octets in fields)


PROPERTIES = st.builds(
    Properties,
    HEADERS,
    MODES,
    STAMPS,
    st.sampled_from(["", "SendSms.v1", "SendSms.v9", "\u00e9"]),
    EXPIRATIONS,
)

# --- the entry points -----------------------------------------------------------------------

COMMAND_FIELDS: Final = [
    "to", "text", "senderId", "userId", "branchId", "messageType", "expiresAt", "metadata",
    "message_type", "expires_at", "branch_id",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One hostile message to a lane."""

    number: int
    body: bytes
    properties: Properties

    @property
    def name(self) -> str:
        """Its message id."""
        return f"hostile-{self.number}"


def commands(count: int) -> Iterator[Case]:
    """Hostile `SendSms`: some fields wrong, some bodies no JSON at all, always odd properties."""
    good = {"to": NUMBER, "text": f"{MARK} 1"}
    bodies = st.tuples(one_of_many(COMMAND_FIELDS), ENCODINGS) | OCTETS
    for number, (made, properties) in enumerate(generated(st.tuples(bodies, PROPERTIES), count)):
        if isinstance(made, bytes):
            body = f"#{number} ".encode() + made
        else:
            fields, encoding = made
            body = as_json({**good, **fields}, number).decode().encode(encoding)
        yield Case(number, body, properties)


def is_wrong(case: Case) -> bool:
    """Whether its body alone makes it a command that nobody can process."""
    try:
        decode_send(case.body, message_id=case.name, type_=None)
    except DecodeError:
        return True
    return False


DRY: Final = [kind for kind in control.COMMANDS if "dry_run" in kind.model_fields]
"""Commands that change nothing where `dryRun` says so."""
STEERING: Final[list[type[control.ControlCommand]]] = [*DRY, control.Ack, control.Backup]
KEYS: Final = [
    *(f"command.{kind.model_fields['name'].default}" for kind in STEERING),
    *(f"query.{kind.model_fields['name'].default}" for kind in control.QUERIES),
    "command.nonsense",
]
FLAGS: Final = json.loads((Path(__file__).parents[2] / "deploy" / "flags.json").read_text("utf-8"))


def flags() -> st.SearchStrategy[dict[str, Any]]:
    """The document of the flags with some fields wrong, at its top, in a section or deeper."""
    ours = FLAGS["SmsFeatureFlags"]
    section = one_of_many([*ours, *FLAGS["MigrationSettings"]])
    deeper = one_of_many([*ours["RollbackThresholds"]]).map(
        lambda made: {"RollbackThresholds": made}
    )
    return one_of_many([*FLAGS]).map(lambda made: {**FLAGS, **made}) | (section | deeper).map(
        lambda made: {name: {**usual, **made} for name, usual in FLAGS.items()}
    )


def replies_wanted(count: int) -> Iterator[tuple[int, str, bytes, Properties]]:
    """Hostile commands and queries: number, routing key, body, properties."""
    fields = one_of_many(
        ["name", "commandId", "reason", "issuedAt", "expectedVersion", "percentage", "to", "at",
         "alert", "label", "user", "branch", "provider", "before", "limit", "hours",
         "overrideGates"]
    )  # fmt: skip
    any_key = st.tuples(st.sampled_from(KEYS), fields | OCTETS, PROPERTIES)
    wrong_flags = st.tuples(
        st.just("command.set-flags"), flags().map(lambda made: {"flags": made}), PROPERTIES
    )
    cases = [*generated(any_key, count - count // 4), *generated(wrong_flags, count // 4)]
    for number, (key, made, properties) in enumerate(cases):
        body = made if isinstance(made, bytes) else _command(made, number)
        yield number, f"control.{key}", body, properties


def _command(fields: Mapping[str, Any], number: int) -> bytes:
    given = {"commandId": f"hostile-{number}", "reason": "hostile", "dryRun": True}
    return json.dumps({**given, "issuedAt": "2099-01-01T00:00:00Z", **fields}).encode()


@dataclass(frozen=True)
class Callback:
    """One hostile request to the webhook."""

    kind: str
    """First step of its path."""
    path: str
    """After the address of the provider's callback."""
    content_type: str
    body: bytes

    def target(self, **marks: str) -> str:
        """Path and query, with fields by which its fate is found."""
        query = "&".join(f"{name}={value}" for name, value in marks.items())
        return f"{self.path}{'&' if '?' in self.path else '?'}{query}"


def callbacks(count: int) -> list[Callback]:
    """Hostile callbacks of a provider."""
    names = ["id", "status", "phoneNumber", "senderId", "networkCode", "results", "to", "from",
             "reference"]  # fmt: skip
    fields = one_of_many(names)
    twice = st.lists(st.tuples(st.sampled_from(names), TEXTS), min_size=1, max_size=6)
    bodies = (
        OCTETS
        | fields.map(lambda made: json.dumps(made).encode())
        | st.lists(fields, max_size=3).map(lambda made: json.dumps(made).encode())
        | twice.map(lambda made: urlencode(made, errors="replace").encode())
    )
    types = st.sampled_from(
        ["application/json", "application/x-www-form-urlencoded", "text/plain", "", "a/b;c=\u00e9",
         "multipart/form-data; boundary=x", "application/json; charset=utf-99"]
    )  # fmt: skip
    paths = st.sampled_from(
        ["", "/", "?id=%FF%00&status=" + "x" * 3000, "?" + "&".join("abcdefgh")]
    )
    kinds = st.sampled_from(["reports", "reports", "optout", "optin"])
    return generated(st.builds(Callback, kinds, paths, types, bodies), count)


def raw_reports(count: int) -> Iterator[tuple[str, str, bytes, Properties]]:
    """What the webhook's login may publish: id of the report, routing key, body, properties."""
    keys = st.sampled_from(["report.africastalking", "report.legacy", "report", "report.x.y"])
    bodies = one_of_many(["provider", "kind", "receivedAt", "fields"]) | OCTETS
    for number, (key, made, properties) in enumerate(
        generated(st.tuples(keys, bodies, PROPERTIES), count)
    ):
        ident = f"raw-{number}"
        good = {"provider": "africastalking", "kind": "delivery", "fields": {"id": ident}}
        if isinstance(made, bytes):
            body = f"#{number} ".encode() + made
        else:
            body = as_json({**good, "receivedAt": "2026-11-26T07:00:00Z", **made}, number)
        yield ident, key, body, properties


def answers(count: int) -> list[dict[str, Any]]:
    """Hostile answers of a provider, as actions of a fault script."""
    recipients = one_of_many(["statusCode", "status", "number", "cost", "messageId"])
    bodies = (
        recipients.map(lambda each: {"SMSMessageData": {"Recipients": [each], "Message": MARK}})
        | ANY.map(lambda value: {"SMSMessageData": value})
        | ANY
    ).map(json.dumps) | st.sampled_from(["", "\ufeff{}", "{" * 5000, '{"a":' + "9" * 5000 + "}"])
    heads = st.sampled_from(
        [{}, {"Retry-After": "soon"}, {"Retry-After": "1e400"}, {"Content-Type": "text/\u00fc"},
         {"Content-Type": "application/json; charset=utf-99"}, {"Content-Encoding": "gzip"}]
    )  # fmt: skip
    statuses = st.sampled_from([200, 201, 201, 201, 202, 299, 400, 409, 429, 500, 599])
    made = generated(st.tuples(statuses, bodies, heads), count)
    return [
        {"do": "http", "status": status, "body": body, "headers": dict(head)}
        for status, body, head in made
    ]


STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 201 Created"] * 9
    + [b"HTTP/1.1 201", b"HTTP/1.1 999 \xe9", b"HTTP/9.9 201 x", b"ICY 200 OK", b"HTTP/1.1 -1 x",
       b"HTTP/1.1 100 Continue", b"HTTP/1.1 302 Found", b"\xff\xfe"]
)  # fmt: skip
LINES = st.sampled_from(
    [b"X: \xff\x80", b"X-\xe9: 1", b"X: " + b"y" * 70_000, b"X: \0", b"\tfolded", b"no colon",
     b"\r\n".join(b"X%d: 1" % n for n in range(500)), b"Content-Length: -1",
     b"Content-Length: " + b"9" * 5_000, b"Content-Length: 1\r\nContent-Length: 2",
     b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Content-Encoding: br, gzip",
     b"Content-Type: \xff; charset=\xff", b"Retry-After: " + b"9" * 5_000, b"Date: never",
     b"Connection: \xff", b"Location: http://[", MARK.encode(), b"X: " + NUMBER.encode()]
)  # fmt: skip


def raw_answers(count: int) -> list[bytes]:
    """Answers of a provider as octets: what no server would write, from the first line on."""
    bodies = st.sampled_from([b"", b"{}", b"zz\r\n", b"-1\r\nx", b"\xff" * 100, b"{"])
    made = generated(st.tuples(STATUS_LINES, st.lists(LINES, max_size=3), bodies), count)
    return [b"\r\n".join((status, *lines, b"", body)) for status, lines, body in made]
