"""Answers of Africa's Talking: whatever comes, nothing is called sent or not sent without proof."""

from __future__ import annotations

import functools
import gzip
import json
from typing import TYPE_CHECKING, Any, Final

from tests.support import hostile
from tests.torture.fuzz import mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import answers
from worker.domain.messages.outcome import Accepted, NotSent, Outcome, Refused
from worker.providers.africastalking_answers import classify, read_balance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.providers.answer import Answer

_SUCCESS: Final = {100, 101, 102}
_SUCCESS_NAMES: Final = {"success", "processed", "sent", "queued"}
_FAILURES: Final = {
    401: "riskhold", 402: "invalidsenderid", 403: "invalidphonenumber",
    404: "unsupportednumbertype", 405: "insufficientbalance", 406: "userinblacklist",
    407: "couldnotroute", 409: "donotdisturbrejection", 500: "internalservererror",
    501: "gatewayerror", 502: "rejectedbygateway",
}  # fmt: skip
"""Documented failures of one recipient."""
_REFUSED: Final = {406, 409}
_OURS: Final = hostile.NUMBER[-9:]
"""Our number in every form of its plan ends with this."""


def check(data: bytes) -> str:
    """Read it as the answer to a message and as that to an account call."""
    answer = answers.parted(data)
    if answer is None:
        return "refused: too long"
    outcome = classify(answer, to=hostile.NUMBER, own_sender=len(data) % 2 == 0)
    behaviour = answers.is_outcome(outcome, answer)
    _is_proved(outcome, answer)
    answers.is_health(answer, read_balance(answer))
    return behaviour


def _is_proved(outcome: Outcome, answer: Answer) -> None:
    """The outcome has the proof that it needs."""
    document = answers.document(answer)
    if document is None:
        whole = isinstance(outcome, NotSent) and outcome.code.startswith("http_")
        must(not whole or _is_status_proof(answer), "a status that proves nothing is unknown")
        return
    entries, message = _read(document)
    if isinstance(outcome, Accepted):
        must(len(_ours(entries)) == 1, "accepted needs our recipient", entries)
        must(_is_success(_ours(entries)[0]), "accepted needs a success", entries)
    elif isinstance(outcome, Refused):
        codes = {_code(each) for each in _ours(entries)} or {_named(message)}
        must(codes & _REFUSED, "refused needs a refusal that every provider repeats", document)
    elif isinstance(outcome, NotSent):
        _is_not_sent(answer, entries, message)


def _is_not_sent(answer: Answer, entries: list[Any], message: Any) -> None:
    if entries:
        must(len(_ours(entries)) == 1, "not sent needs our recipient", entries)
        must(_is_failure(_ours(entries)[0]), "not sent needs a failure without a trace", entries)
        return
    nobody = isinstance(message, str) and "sent to 0/" in " ".join(message.lower().split())
    proved = _is_status_proof(answer) or nobody or _named(message) is not None
    must(proved, "not sent needs a proof", (answer.status, message))


def _is_status_proof(answer: Answer) -> bool:
    return answer.status in answers.PROOFS


def _read(document: Any) -> tuple[list[Any], Any]:
    """The entries about recipients, and the provider's message."""
    data = document.get("SMSMessageData") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        return [], None
    listed = data.get("Recipients") or []
    return (listed if isinstance(listed, list) else [listed]), data.get("Message")


def _ours(entries: list[Any]) -> list[dict[str, Any]]:
    """The entries that may be about our number."""
    return [each for each in entries if isinstance(each, dict) and _is_ours(each.get("number"))]


def _is_ours(number: Any) -> bool:
    digits = "".join(char for char in str(number) if char.isdigit())
    return digits.endswith(_OURS)


def _code(entry: dict[str, Any]) -> int | None:
    """The code, else that of the name; -1: a code that cannot be read."""
    code = entry.get("statusCode")
    if code is None or (isinstance(code, str) and not code.strip()):
        return _named(entry.get("status"))
    whole = isinstance(code, str | int) and not isinstance(code, bool)
    return int(code) if whole and str(code).isdecimal() else -1


def _named(text: Any) -> int | None:
    name = "".join(text.split()).lower() if isinstance(text, str) else ""
    return next((code for code, named in _FAILURES.items() if named == name), None)


def _is_success(entry: dict[str, Any]) -> bool:
    name = "".join(str(entry.get("status") or "").split()).lower()
    if _code(entry) in _SUCCESS:
        return name in _SUCCESS_NAMES or not isinstance(entry.get("status"), str) or not name
    return _code(entry) is None and name in _SUCCESS_NAMES and _has_id(entry)


def _is_failure(entry: dict[str, Any]) -> bool:
    """A documented failure, or none at all, without an id and without a cost."""
    code = _code(entry)
    documented = code is None or code in _FAILURES
    return documented and not _has_id(entry) and not _costs(entry.get("cost"))


def _has_id(entry: dict[str, Any]) -> bool:
    named = entry.get("messageId")
    return str(named).strip().lower() not in {"", "none", "null"}


def _costs(cost: Any) -> bool:
    """Whether something is charged: there is a digit that is not zero."""
    return any(char in "123456789" for char in str(cost))


# --- seeds -----------------------------------------------------------------------------------


def _answer(*recipients: dict[str, Any], message: str = "Sent to 0/1 Total Cost: 0") -> bytes:
    data = {"Message": message, "Recipients": list(recipients)}
    return json.dumps({"SMSMessageData": data}).encode()


def _entry(**changes: Any) -> dict[str, Any]:
    taken = {"statusCode": 101, "number": hostile.NUMBER, "status": "Success",
             "cost": "KES 0.8000", "messageId": "ATXid_1", "messageParts": 1}  # fmt: skip
    return {**taken, **changes}


BODIES: Final = (
    _answer(_entry()),
    _answer(_entry(statusCode=None)),
    _answer(_entry(number="0977654321", statusCode="102")),
    *(
        _answer(_entry(statusCode=code, status=name, cost="0", messageId="None"))
        for code, name in _FAILURES.items()
    ),
    _answer(_entry(), _entry(number="+260966000111")),
    _answer(message="InvalidSenderId"),
    _answer(message="Sent to 0/1 Total Cost: KES 0.00 Message Parts: 0"),
    b'{"UserData": {"balance": "KES 1785.50"}}',
    b"Supplied authentication is invalid",
    b"The PhoneNumber is invalid",
    b"",
)


PACKED: Final = gzip.compress(BODIES[0], mtime=0)
BOMB: Final = gzip.compress(bytes(10**6), mtime=0)


@functools.cache
def seeds() -> Sequence[bytes]:
    """Documented answers at many statuses, and hostile ones."""
    plain = [answers.joined(status, body) for body in BODIES for status in (200, 201, 400, 503)]
    heads = [answers.joined(status, BODIES[0], *head)
             for head in answers.HEADS for status in (201, 429, 503)]  # fmt: skip
    coded = [answers.joined(201, body, "Content-Encoding: gzip") for body in (PACKED, BOMB)]
    made = [answers.joined(each["status"], each["body"].encode(),
                           *(f"{name}: {value}" for name, value in each["headers"].items()
                             if value.isascii())) for each in hostile.answers(60)]  # fmt: skip
    return [*plain, *heads, *coded, *made]


_NAMES: Final = ("SMSMessageData", "Recipients", "Message", "statusCode", "status", "number",
                 "cost", "messageId", "messageParts", "UserData", "balance")  # fmt: skip
_VALUES: Final = (
    *_FAILURES, *_FAILURES.values(), *_SUCCESS, "Success", "Queued", "None", "ATXid_2", "0", 0,
    "KES 0.8000", "0977654321", "Sent to 0/1 Total Cost: 0", hostile.NUMBER, hostile.MARK,
)  # fmt: skip

DOCUMENT: Final = mutate.json_like(_NAMES, _VALUES)
"""Mutates the body of an answer."""

TARGET: Final = Target(
    name="africastalking",
    takes="answer of Africa's Talking: status, header fields, an empty line, the body",
    holds="always an outcome; accepted, refused and not sent only with their proof; codes and "
    "reasons in our words; the event of an accepted one can be written; bounded",
    check=check,
    seeds=seeds,
    share=80,
    mutators=(answers.mutated_body(DOCUMENT),),
    words=answers.WORDS,
)
