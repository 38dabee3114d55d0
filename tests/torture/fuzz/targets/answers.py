"""What every answer of every provider must lead to, and the form of such an input.

Rules: an oracle states what an outcome needs as proof, by the provider's documents alone. It reads
the answer with the standard library. Where that cannot read it, or reads more than one meaning, the
oracle demands nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import httpx

from contracts.codec import encode
from contracts.events import Cost, SmsSent, decode_event
from tests.support import hostile
from tests.torture.fuzz.target import must
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.domain.messages.outcome import Accepted, NotSent, Outcome, Refused, Unknown
from worker.providers.answer import LONGEST_PAUSE_S, Answer, account_health
from worker.providers.transport import MAX_BODY
from worker.providers.unpack import TooLongError, unpack

if TYPE_CHECKING:
    import random

    from tests.torture.fuzz.target import Mutator
    from worker.domain.messages.outcome import Money

PROOFS: Final = frozenset(
    {301, 302, 305, 307, 308, 400, 401, 403, 404, 405, 407, 410, 411, 412, 413, 414, 415, 417, 421}
    | {422, 425, 426, 428, 429, 431, 451, 501, 505, 511}
)
"""Statuses that say that a request was not carried out (RFC 9110, 6585, 8470)."""
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,40}", re.IGNORECASE | re.ASCII)
_LONGEST_REASON: Final = 120
_LONGEST_ID: Final = 200


# --- the form of an input --------------------------------------------------------------------


def joined(status: int, body: bytes, *headers: str) -> bytes:
    """One input: the status, header fields, an empty line, the body."""
    return "\n".join((str(status), *headers, "")).encode("latin-1") + b"\n" + body


def parted(data: bytes) -> Answer | None:
    """The answer; None: it is longer than the transport takes."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    status = int(first) if re.fullmatch(r"[1-5][0-9]{2}", first, re.ASCII) else 200
    fields = [line.encode("latin-1").partition(b":") for line in lines]
    headers = httpx.Headers([(name.strip(), value.strip()) for name, _, value in fields])
    try:
        plain = unpack(body[: MAX_BODY + 1], headers.get("content-encoding", ""), MAX_BODY)
    except TooLongError:
        return None
    must(len(plain) <= MAX_BODY + 1, "an answer is bounded, however it is packed", len(plain))
    return Answer(status, headers, plain)


def mutated_body(mutator: Mutator) -> Mutator:
    """Mutate the body alone."""

    def mutated(generator: random.Random, data: bytes) -> bytes | None:
        head, end, body = data.partition(b"\n\n")
        made = mutator(generator, body)
        return None if made is None else head + end + made

    return mutated


# --- what holds of every outcome ---------------------------------------------------------------


def is_outcome(outcome: Outcome, answer: Answer) -> str:
    """Check an outcome whatever the provider; return the behaviour."""
    must(
        isinstance(outcome, Accepted | Refused | NotSent | Unknown), "there is an outcome", outcome
    )
    must(_CODE.fullmatch(outcome.code), "a code is short and plain", outcome.code)
    _is_pause(answer.asked_pause_s())
    if isinstance(outcome, Accepted):
        _is_event(outcome)
        return f"accepted: {outcome.code}"
    must(len(outcome.reason) <= _LONGEST_REASON, "a reason is short", outcome.reason)
    digits = sum(map(str.isdigit, outcome.reason))
    must(not digits, "a reason is ours and has no numbers", outcome.reason)
    quotes_nothing(outcome.reason)
    if not isinstance(outcome, Refused):
        _is_pause(outcome.slow_down_s)
    known = "refused: " if isinstance(outcome, Unknown) else ""
    return f"{known}{type(outcome).__name__}: {outcome.reason}"


def _is_pause(seconds: float | None) -> None:
    must(seconds is None or 0 <= seconds <= LONGEST_PAUSE_S, "a pause is bounded", seconds)


def _is_event(accepted: Accepted) -> None:
    """An accepted message can be announced: all that the provider named fits the event."""
    named = accepted.provider_message_id
    fits = named is None or (0 < len(named) <= _LONGEST_ID and named.isprintable())
    must(fits, "a provider's id can be stored and shown", named)
    must(accepted.parts is None or 0 <= accepted.parts < 10**6, "parts are few", accepted.parts)
    event = SmsSent(
        event_id="0b7c9dd4-3a38-5c2e-8c7a-1f2f3b6f9a01",
        occurred_at="2026-03-01T12:00:00Z",
        message_id="m-1",
        provider="at",
        attempt=1,
        provider_message_id=named,
        segments=accepted.parts or 1,
        cost=_cost(accepted.cost),
        reason="percentage",
        duration_ms=1.0,
    )
    must(decode_event(encode(event)) == event, "the event of an answer reads the same", event)


def _cost(money: Money | None) -> Cost | None:
    if money is None:
        return None
    must(money.amount.is_finite() and money.amount >= 0, "a cost is an amount", money)
    must(len(money.amount.as_tuple().digits) <= 24, "a cost is bounded", money)
    return Cost(amount=money.amount, currency=money.currency)


def is_health(answer: Answer, balance: Money | None) -> None:
    """The answer to an account call is in order only with a balance, and says so in our words."""
    health = account_health(answer, balance)
    paid = balance is not None and balance.amount > 0
    must(not health.ok or (answer.status == 200 and paid), "an account needs a balance", health)
    must(len(health.reason) <= _LONGEST_REASON, "a reason is short", health.reason)
    quotes_nothing(health.reason)


# --- reading for oracles -----------------------------------------------------------------------


def document(answer: Answer) -> Any:
    """The body as JSON by the standard library; None: it has no single meaning."""
    try:
        body = answer.body.decode("utf-8-sig")
        return json.loads(body, object_pairs_hook=_once, parse_constant=_none, strict=False)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name given twice")
    return dict(pairs)


def _none(_name: str) -> None:
    """NaN and Infinity are no JSON; they say as much as `null`."""


HEADS: Final = (
    (), ("Retry-After: 5",), ("Retry-After: 1e400",), ("Retry-After: -1",), ("Retry-After: soon",),
    ("Retry-After: Thu, 26 Nov 2026 09:00:00 GMT", "Date: Thu, 26 Nov 2026 08:59:00 GMT"),
    ("Content-Type: application/json; charset=ISO-8859-1",), ("Content-Encoding: gzip",),
    ("Content-Type: application/json; charset=utf-99",), ("Content-Encoding: deflate, gzip",),
)  # fmt: skip
STATUSES: Final = (200, 201, 201, 202, 202, 204, 301, 303, 400, 401, 402, 403, 404, 406, 408, 409,
                   413, 422, 425, 429, 451, 499, 500, 501, 502, 503, 504, 505, 511)  # fmt: skip
WORDS: Final = (
    *(b"%d\n" % status for status in sorted({*STATUSES, *PROOFS})),
    *("\n".join(head).encode() + b"\n" for head in HEADS),
    hostile.MARK.encode(), hostile.NUMBER.encode(), b"\x1f\x8b", b"\\u00e9", b"\\x",
)  # fmt: skip
