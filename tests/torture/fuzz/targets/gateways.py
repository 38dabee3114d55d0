"""Answers of the gateways whose presets are shipped, judged by what each gateway documents."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.support import hostile
from tests.torture.fuzz import mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import answers
from worker.domain.messages.outcome import Accepted, NotSent, Outcome, Refused
from worker.providers.gateway_answers import classify, read_balance
from worker.providers.preset import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.providers.answer import Answer


class Unjudged:
    """The oracle cannot read the answer; only `words` must be there for an acceptance."""


def _check(name: str, oracle: Callable[[Answer], Any], words: bytes, data: bytes) -> str:
    """Read an answer by a preset, and judge the outcome.

    Args:
        name: of the preset.
        oracle: the kind of outcome that the answer proves; None: none; or `Unjudged`.
        words: what no acceptance is without.
        data: the answer.
    """
    answer = answers.parted(data)
    if answer is None:
        return "refused: too long"
    preset = load_once(name)
    outcome = classify(answer, preset, own_sender=len(data) % 2 == 0)
    behaviour = answers.is_outcome(outcome, answer)
    accepted = isinstance(outcome, Accepted)
    must(not accepted or words in _plain(answer.body), "accepted needs its words", answer.body)
    kind = oracle(answer)
    if kind is not Unjudged:
        _is_proved(outcome, kind, answer)
    answers.is_health(answer, read_balance(answer, preset))
    return behaviour


def _is_proved(outcome: Outcome, kind: type[Outcome] | None, answer: Answer) -> None:
    must(kind is None or isinstance(outcome, kind), "the gateway's documents decide", outcome)
    proved = answer.status in answers.PROOFS or kind is NotSent
    must(proved or not isinstance(outcome, NotSent), "not sent needs a proof", outcome)
    must(kind is Accepted or not isinstance(outcome, Accepted), "accepted needs a proof", outcome)
    must(kind is Refused or not isinstance(outcome, Refused), "refused needs a proof", outcome)


def _plain(body: bytes) -> bytes:
    """The body without the zeros that UTF-16 and UTF-32 have around ASCII."""
    return body.replace(b"\0", b"")


load_once = functools.cache(load)

# --- json-basic --------------------------------------------------------------------------------

_CODES: Final = {
    (400, "invalid_recipient"): NotSent, (422, "invalid_recipient"): NotSent,
    (400, "invalid_sender"): NotSent, (400, "invalid_request"): NotSent,
    (402, "insufficient_balance"): NotSent, (403, "opted_out"): Refused,
    (403, "account_suspended"): NotSent, (422, "not_routable"): NotSent,
    (503, "unavailable"): NotSent,
}  # fmt: skip


def json_basic(answer: Answer) -> Any:
    """The outcome that the answer proves; see `_check`."""
    document = answers.document(answer)
    if not isinstance(document, dict):
        return Unjudged
    if answer.status == 202 and document.get("status") == "accepted":
        return Accepted
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return _CODES.get((answer.status, code)) if isinstance(code, str) else None


_BODIES: Final = (
    b'{"status": "accepted", "id": "id-1", "parts": 2}',
    *(json.dumps({"error": {"code": code, "message": hostile.MARK}}).encode()
      for code in sorted({code for _, code in _CODES})),
    b'{"balance": "KES 1785.50", "currency": "KES"}', b'{"balance": -0.29}', b"[]", b"",
    b'{"status": "accepted", "text": "two\nlines"}', b'{"status": "rejected"}',
)  # fmt: skip


@functools.cache
def json_seeds() -> Sequence[bytes]:
    """Documented answers, each at every status that one of them has."""
    statuses = (202, 200, *sorted({status for status, _ in _CODES}), 401, 429, 504)
    heads = [answers.joined(503, _BODIES[0], *head) for head in answers.HEADS]
    return [*(answers.joined(status, body) for status in statuses for body in _BODIES), *heads]


_NAMES: Final = ("status", "id", "parts", "error", "code", "message", "balance", "currency")
_VALUES: Final = ("accepted", *sorted({code for _, code in _CODES}), "rejected", 2, hostile.MARK)

JSON_BASIC: Final = Target(
    name="json-basic",
    takes="answer of a gateway of the preset json-basic; form as for africastalking",
    holds="the outcome that the gateway documents, never another one without proof; our words",
    check=functools.partial(_check, "json-basic", json_basic, b"accepted"),
    seeds=json_seeds,
    share=50,
    mutators=(answers.mutated_body(mutate.json_like(_NAMES, _VALUES)),),
    words=answers.WORDS,
)

# --- Kannel ------------------------------------------------------------------------------------

_SAID: Final = (
    (202, r"\s*[03]: ", Accepted), (400, "receiver number", NotSent),
    (400, "white- and/or black-lists", NotSent), (403, "Authorization failed", NotSent),
    (403, "Not routable", NotSent), (503, "Temporal failure", NotSent),
)  # fmt: skip
_TEXTS: Final = (
    b"0: Accepted for delivery", b"3: Queued for later delivery", b"4: Temporal failure",
    b"Sending failed.", b"Authorization failed for sendsms", b"Not routable. Do not try again.",
    b"Invalid receiver number", b"Number(s) has/have been denied by white- and/or black-lists.",
    b" 0: Accepted", b"10: Accepted", b"", b"<html>0: </html>", "0: Accepted".encode("utf-16"),
)  # fmt: skip


def kannel(answer: Answer) -> Any:
    """The outcome that the answer proves; see `_check`."""
    if not answer.body.isascii() or b"\0" in answer.body:
        return Unjudged
    text = answer.body.decode()
    for status, words, kind in _SAID:
        searched = re.match if kind is Accepted else re.search
        if answer.status == status and searched(words, text):
            return kind
    return None


@functools.cache
def kannel_seeds() -> Sequence[bytes]:
    """Documented answers, each at every status that one of them has."""
    statuses = (202, 200, 400, 403, 429, 500, 503)
    heads = [answers.joined(202, _TEXTS[0], *head) for head in answers.HEADS]
    return [*(answers.joined(status, text) for status in statuses for text in _TEXTS), *heads]


KANNEL: Final = Target(
    name="kannel",
    takes="answer of Kannel; form as for africastalking",
    holds="the outcome that the gateway documents, never another one without proof; our words",
    check=functools.partial(_check, "kannel", kannel, b": "),
    seeds=kannel_seeds,
    share=50,
    words=(*answers.WORDS, *_TEXTS),
)
