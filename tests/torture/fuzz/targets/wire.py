"""Control commands and queries, reports of the webhook, and events, as anybody may write them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from pydantic import ValidationError

from contracts import control
from contracts.codec import MAX_DEPTH, DecodeError, encode, read_object
from contracts.control_decoding import decode_command, decode_query
from contracts.events import EVENTS, decode_event
from contracts.metrics import METRICS
from contracts.names import MAX_BODY_BYTES
from contracts.reports import RawReport, decode_report
from tests.support import hostile
from tests.torture.fuzz import corpus, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import documents
from tests.torture.fuzz.targets.refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contracts.model import Strict, Wire

    Decoder = Callable[[bytes], Wire]


def _decoded(decode: Decoder, body: bytes) -> Wire | DecodeError:
    try:
        return decode(body)
    except DecodeError as error:
        return error


def _judged(decode: Decoder, body: bytes, spelled: Mapping[str, str]) -> str:
    """Decode in both spellings and judge what came of it; return the behaviour."""
    document = documents.read(body)
    decoded = _decoded(decode, body)
    if isinstance(document, dict) and len(body) <= MAX_BODY_BYTES:
        _is_the_same_in_snake_case(decode, document, decoded, spelled)
    if isinstance(decoded, DecodeError):
        return is_refusal(decoded, document)
    must(len(body) <= MAX_BODY_BYTES, "a body over 64 KiB is refused", len(body))
    must(documents.depth(document) <= MAX_DEPTH, "a body nested too deep is refused")
    written = encode(decoded)
    whole = documents.is_whole(document)
    must(decode(written) == decoded or not whole, "what is written reads the same", written[:500])
    return f"read: {type(decoded).__name__} {len(decoded.model_fields_set)}"


def _is_the_same_in_snake_case(
    decode: Decoder,
    document: dict[str, Any],
    decoded: Wire | DecodeError,
    spelled: Mapping[str, str],
) -> None:
    respelled = documents.respelled(document, spelled)
    if respelled is None or isinstance(decoded, DecodeError):
        return
    must(_decoded(decode, respelled) == decoded, "both spellings mean the same", respelled[:300])


# --- control ---------------------------------------------------------------------------------

COMMANDS: Final = {str(each.model_fields["name"].default): each for each in control.COMMANDS}
_QUERIES: Final = {str(each.model_fields["name"].default): each for each in control.QUERIES}
_CONTROL: Final[dict[str, type[Strict]]] = {**COMMANDS, **_QUERIES}
CONTROL_NAMES: Final = documents.spellings(_CONTROL.values())


def check_control(body: bytes) -> str:
    """Decode it as the command or query that it names, or as one that the bytes choose."""
    document = documents.read(body)
    named = document.get("name") if isinstance(document, dict) else None
    known = named if isinstance(named, str) and named in _CONTROL and crc32(body) % 8 else None
    name = known or list(_CONTROL)[crc32(body) % len(_CONTROL)]
    decode = functools.partial(decode_command if name in COMMANDS else decode_query, name=name)
    behaviour = _judged(decode, body, CONTROL_NAMES)
    if behaviour.startswith("read"):
        _is_strict(body, _CONTROL[name])
    return f"{behaviour} {name}"


def _is_strict(body: bytes, model: type[Strict]) -> None:
    """What was read has no field twice and none that is unknown."""
    must(not documents.twice(body), "a field given twice is refused")
    fields = documents.spellings([model])
    given = documents.read(body).keys()
    must(given <= {*fields, *fields.values()}, "an unknown field is refused", given)


@functools.cache
def control_seeds() -> Sequence[bytes]:
    """Golden commands and queries, and hostile ones."""
    golden = [body for name in _CONTROL.values() for body in corpus.golden(f"{name.__name__}.*")]
    return [*golden, *(body for _, _, body, _ in hostile.replies_wanted(80))]


CONTROL: Final = Target(
    name="control",
    takes="body of a control command or query",
    holds="read, written and read again the same, in both spellings; or refused by field, quoting "
    "nothing; no unknown field, none twice; within bounds and linear time",
    check=check_control,
    seeds=control_seeds,
    share=110,
    mutators=(mutate.json_like((*CONTROL_NAMES, *CONTROL_NAMES.values()), (*_CONTROL,)),),
    words=tuple(f'"{name}":'.encode() for name in CONTROL_NAMES),
)

# --- reports of the webhook -------------------------------------------------------------------

_REPORT_NAMES: Final = documents.spellings([RawReport])


def check_report(body: bytes) -> str:
    """Decode a report of the webhook's login."""
    return _judged(decode_report, body, _REPORT_NAMES)


@functools.cache
def report_seeds() -> Sequence[bytes]:
    """The golden report, and hostile ones."""
    return [*corpus.golden("RawReport.json"), *(body for _, _, body, _ in hostile.raw_reports(80))]


REPORT: Final = Target(
    name="raw-report",
    takes="body of a report as the webhook publishes it",
    holds="read, written and read again the same, in both spellings; or refused, quoting nothing",
    check=check_report,
    seeds=report_seeds,
    share=60,
    mutators=(mutate.json_like(_REPORT_NAMES, ("delivery", "optout", "target", "id", "status")),),
)

# --- events ----------------------------------------------------------------------------------

_EVENT_NAMES: Final = documents.spellings(EVENTS)
_EVENTS: Final = tuple(str(each.model_fields["event"].default) for each in EVENTS)


def check_event(body: bytes) -> str:
    """Decode an event, as a consumer does."""
    return _judged(decode_event, body, _EVENT_NAMES)


@functools.cache
def event_seeds() -> Sequence[bytes]:
    """Golden events."""
    return corpus.golden("Sms[!.]*.json")


EVENT: Final = Target(
    name="event",
    takes="body of a delivery event",
    holds="read, written and read again the same, in both spellings; or refused, quoting nothing",
    check=check_event,
    seeds=event_seeds,
    share=60,
    mutators=(mutate.json_like(_EVENT_NAMES, _EVENTS),),
)

# --- metrics ---------------------------------------------------------------------------------

_METRICS: Final = {str(each.model_fields["event"].default): each for each in METRICS}
_METRIC_NAMES: Final = documents.spellings(METRICS)


def _decode_metric(body: bytes) -> Wire:
    """Read a metric event by its name, as a dashboard does."""
    data = read_object(body)
    model = _METRICS.get(str(data.get("event")), next(iter(_METRICS.values())))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise DecodeError("not a metric", None, (f"{error.error_count()} errors",)) from error


def check_metric(body: bytes) -> str:
    """Decode a metric event."""
    return _judged(_decode_metric, body, _METRIC_NAMES)


@functools.cache
def metric_seeds() -> Sequence[bytes]:
    """Golden metrics."""
    return corpus.golden("*Metric*.json")


METRIC: Final = Target(
    name="metric",
    takes="body of a metric event",
    holds="read, written and read again the same, in both spellings; or refused",
    check=check_metric,
    seeds=metric_seeds,
    share=30,
    mutators=(mutate.json_like(_METRIC_NAMES, (*_METRICS, "ZMW", "0.10", "closed", "open")),),
)
