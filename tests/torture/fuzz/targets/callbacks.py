"""Query, content type and body of a callback, as any provider or stranger may send them."""

from __future__ import annotations

import functools
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from contracts.codec import encode
from contracts.names import MAX_BODY_BYTES
from contracts.reports import MAX_FIELDS, MAX_NAME, RawReport, decode_report
from tests.support import hostile
from tests.torture.fuzz import mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import documents
from tests.torture.fuzz.targets.refusals import is_line, quotes_nothing
from worker.web.documents import MAX_REPORTS
from worker.web.fields import read
from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIELDS: Final = (
    "id", "status", "phoneNumber", "senderId", "networkCode", "failureReason", "results",
    "results.0.id", "to", "from", "reference", "data", "epoch", "type",
)  # fmt: skip
"""Names of fields in the callbacks of gateways."""
_SHORT: Final = 60
_NAME: Final = re.compile(r"[A-Za-z0-9.]+", re.ASCII)


def parted(data: bytes) -> tuple[bytes, str, bytes]:
    """Query, content type and body: two lines and the rest."""
    query, _, rest = data.partition(b"\n")
    media_type, _, body = rest.partition(b"\n")
    return query, media_type.decode("latin-1"), body


def joined(query: bytes, media_type: str, body: bytes) -> bytes:
    """One input."""
    return b"\n".join((query, media_type.encode("latin-1"), body))


def check(data: bytes) -> str:
    """Read it, and judge what came of it."""
    query, media_type, body = parted(data)
    try:
        reports = read(query, media_type, body)
    except MalformedError as error:
        is_line(str(error))
        quotes_nothing(str(error))
        return f"refused: {''.join(c for c in str(error) if not c.isdigit())}"
    must(0 < len(reports) <= MAX_REPORTS, "a callback holds a bounded number", len(reports))
    for fields in reports:
        _is_a_report(fields)
    _loses_nothing(query, body, reports)
    fields = min(len(reports[0]), 4)
    return f"read: {min(len(reports), 3)} reports of {fields} fields, {_form(query, body)}"


def _is_a_report(fields: dict[str, str]) -> None:
    """The worker can read what is published of it."""
    must(0 < len(fields) <= MAX_FIELDS, "a report has a bounded number of fields", len(fields))
    for name, value in fields.items():
        must(0 < len(name) <= MAX_NAME and name.isprintable(), "a field has a usable name", name)
        must(documents.is_text(value), "a value is text that can be stored", value)
    report = RawReport(provider="at", kind="delivery", received_at=NOW, fields=fields)
    written = encode(report)
    must(len(written) <= MAX_BODY_BYTES, "the worker reads a report of this length", len(written))
    must(decode_report(written) == report, "what is published reads the same", written[:300])


def _form(query: bytes, body: bytes) -> str:
    begins = body.strip()[:1]
    forms = {b"": "no body", b"{": "object", b"[": "array", b"-": "multipart"}
    return f"{forms.get(begins, 'form')}{', query' if query else ''}"


# --- nothing is lost ---------------------------------------------------------------------------


def _loses_nothing(query: bytes, body: bytes, reports: Sequence[dict[str, str]]) -> None:
    """Every value of a plain document or form is in some report."""
    if query:
        return
    values = {value for fields in reports for value in fields.values()}
    expected = _of_json(body) if body[:1] in (b"{", b"[") else _of_form(body)
    lost = expected - values
    must(not lost, "every value of a callback is in a report", sorted(lost)[:5])


def _of_form(body: bytes) -> set[str]:
    """The values of a form without anything that has a second meaning."""
    text = body.strip(b" \t\r\n\0").decode("ascii", "replace")
    if not text.isprintable() or any(char in text for char in ";,|[].%{\ufffd"):
        return set()
    pairs = [each.partition("=") for each in text.split("&")]
    if not all(name.isalnum() and sign for name, sign, _ in pairs):
        return set()
    return {value.replace("+", " ") for _, _, value in pairs}


def _of_json(body: bytes) -> set[str]:
    """The texts and numbers of a document of plain names, each once."""
    try:
        document = json.loads(body, parse_int=str, parse_float=str, object_pairs_hook=_plain)
    except (ValueError, RecursionError):
        return set()
    return set(_leaves(document))


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        raise ValueError("a name with a second meaning")
    return dict(pairs)


def _leaves(value: Any, path: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        if path <= _SHORT and value.isprintable() and not value.lstrip().startswith(("{", "[")):
            yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, path + len(name) + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path + 4)


# --- seeds and mutation ------------------------------------------------------------------------

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
MULTIPART: Final = b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\nm-1\r\n--x--\r\n'
BODIES: Final = (
    (FORM, b"id=ATXid_1&status=Success&phoneNumber=%2B260977654321&networkCode=64501"),
    (FORM, b"id=1&status=D&id=2&status=F"),
    (FORM, b"results[0][id]=1&results[0][status]=D&results[1][id]=2&results[1][status]=F"),
    (FORM, b'data=[{"id": 1}, {"id": 2}]'),
    (JSON, b'{"id": "1", "status": "DELIVERED", "to": "+260977654321", "price": 0.10}'),
    (JSON, b'{"results": [{"id": "1", "status": {"name": "D"}}, {"id": "2", "error": null}]}'),
    (JSON, b'[{"id": 1, "status": "D"}, {"id": 2, "status": "F"}]'),
    (JSON, b'{"id": [1, 2], "status": ["D", "F"], "batch": 7}'),
    (JSON, b'{"1": {"id": 1}, "2": {"id": 2}}'),
    (JSON, '{"id": "é", "text": "naïve"}'.encode("utf-16")),
    ("multipart/form-data; boundary=x", MULTIPART),
    ("text/plain; charset=ISO-8859-1", b"id=caf\xe9"),
    (f"{FORM}; charset=utf-99", b"id=1"),
)


@functools.cache
def seeds() -> Sequence[bytes]:
    """Callbacks of the gateways that we know, and hostile ones."""
    plain = [joined(query, *each) for each in BODIES for query in (b"", b"id=m-1&epoch=2&type=1")]
    made = hostile.callbacks(100)
    return [*plain, *(joined(each.path.partition("?")[2].encode(), each.content_type, each.body)
                      for each in made)]  # fmt: skip


DOCUMENT: Final = mutate.json_like(FIELDS, (hostile.MARK, hostile.NUMBER, "DELIVERED", "1"))


def mutated(generator: random.Random, data: bytes) -> bytes | None:
    """Change the document in the body."""
    query, media_type, body = parted(data)
    made = DOCUMENT(generator, body)
    return None if made is None else joined(query, media_type, made)


WORDS: Final = (
    b"&", b"=", b"&amp;", b"[0]", b"[1]", b"[]", b".0.", b"%5B", b"%7B", b"+", b"?", b"--x",
    b"--x--", b'name="a"', b"\r\n\r\n", b"id=1", b"status=", b"charset=utf-16",
    b"charset=latin-1", b"\xef\xbb\xbf", *(name.encode() for name in FIELDS),
)  # fmt: skip
"""What means something in a callback."""

TARGET: Final = Target(
    name="callback",
    takes="query, content type and body of a callback: two lines and the rest",
    holds="reports that the worker can read, with every value of the callback; or refused with a "
    "short reason that quotes nothing; within bounds and linear time",
    check=check,
    seeds=seeds,
    share=100,
    mutators=(mutated,),
    words=WORDS,
    longest=130_000,
)
