"""The body of a `SendSms`, as any upstream service may publish it."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from contracts.codec import MAX_DEPTH, encode
from contracts.commands import MAX_TEXT, DecodeError, SendSms, decode_send
from contracts.names import MAX_BODY_BYTES
from tests.support import hostile
from tests.torture.fuzz import corpus, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import documents
from tests.torture.fuzz.targets.refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROPERTIES: Final = (None, None, None, None, None, "m-1", "", " odd ")
"""What the AMQP property `message_id` says."""
_FIELDS: Final = documents.spellings([SendSms])
_ID: Final = re.compile(r"[!-~]([ -~]{0,126}[!-~])?", re.ASCII)


def check(body: bytes) -> str:
    """Decode it and judge what came of it."""
    own = _PROPERTIES[crc32(body) % len(_PROPERTIES)]
    document = documents.read(body)
    decoded = _decoded(body, own)
    if isinstance(decoded, DecodeError):
        must(not _plainly_valid(document, own), "a plain command is read", decoded.problems)
        behaviour = is_refusal(decoded, document, own)
    else:
        _is_bounded(decoded, body, document)
        _comes_back(decoded)
        behaviour = f"read: {', '.join(sorted(decoded.model_fields_set))}"
    if isinstance(document, dict) and len(body) <= MAX_BODY_BYTES:
        _is_the_same_in_snake_case(document, decoded, own)
    return behaviour


def _decoded(body: bytes, own: str | None) -> SendSms | DecodeError:
    try:
        return decode_send(body, message_id=own, type_=None)
    except DecodeError as error:
        return error


def _plainly_valid(document: Any, own: str | None) -> bool:
    """Whether nothing but the three fields that everybody gives is there, and they are right."""
    if not isinstance(document, dict) or document.keys() != {"messageId", "to", "text"}:
        return False
    ident, to, text = (document[name] for name in ("messageId", "to", "text"))
    right = all(isinstance(each, str) and documents.is_text(each) for each in (ident, to, text))
    return bool(
        right
        and ident in {ident, own or ident}
        and (not own or own == ident)
        and _ID.fullmatch(ident)
        and 0 < len(to) <= 64
        and 0 < len(text) <= MAX_TEXT
    )


def _is_bounded(read: SendSms, body: bytes, document: Any) -> None:
    must(len(body) <= MAX_BODY_BYTES, "a body over 64 KiB is refused", len(body))
    must(documents.depth(document) <= MAX_DEPTH, "a body nested too deep is refused")
    must(_ID.fullmatch(read.message_id), "an id is printable ASCII without blanks at its ends")
    must(0 < len(read.text) <= MAX_TEXT, "the text is bounded", len(read.text))
    must(0 < len(read.to) <= 64, "the number is bounded", len(read.to))
    branch = read.branch_id
    must(branch is None or -(2**63) <= branch < 2**63, "integers have 64 bit", branch)
    texts = [*(read.metadata or {}), *(read.metadata or {}).values(), read.text, read.to]
    texts += filter(None, (read.sender_id, read.user_id, read.message_type))
    must(all(map(documents.is_text, texts)), "no NUL and no half surrogate pair is read")


def _comes_back(read: SendSms) -> None:
    """It can be written, and what is written reads the same."""
    again = decode_send(encode(read), message_id=read.message_id, type_=None)
    must(again == read, "what is written reads the same", encode(read)[:500])


def _is_the_same_in_snake_case(
    document: dict[str, Any], decoded: SendSms | DecodeError, own: str | None
) -> None:
    respelled = documents.respelled(document, _FIELDS)
    if respelled is None:
        return
    other = _decoded(respelled, own)
    if isinstance(decoded, DecodeError) and isinstance(other, DecodeError):
        same = (decoded.message_id, decoded.problems) == (other.message_id, other.problems)
    else:
        same = decoded == other
    must(same, "both spellings mean the same", (decoded, other))


@functools.cache
def seeds() -> Sequence[bytes]:
    """Golden messages, and hostile ones."""
    return [*corpus.golden("SendSms.*.json"), *(case.body for case in hostile.commands(150))]


_NAMES: Final = (*_FIELDS, *_FIELDS.values(), "UserId", "BranchId", "MessageType", "x")
_TEXTS: Final = (hostile.MARK, hostile.NUMBER, "m-1", " m-1", "m-1 ", "2099-01-01T00:00:00Z")

TARGET: Final = Target(
    name="send-sms",
    takes="body of a SendSms",
    holds="read, written and read again the same, in both spellings; or refused by field, quoting "
    "nothing; within bounds and linear time",
    check=check,
    seeds=seeds,
    share=170,
    mutators=(mutate.json_like(_NAMES, _TEXTS),),
    words=tuple(f'"{name}":'.encode() for name in _NAMES),
)
