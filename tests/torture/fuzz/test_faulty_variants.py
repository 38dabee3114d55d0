"""The targets find the faults they are there for: each variant was, or could be, the product's.

The first five stopped a worker, or mixed up messages, in the code of before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from pamqp import decode

from contracts import commands, problems
from tests.torture.fuzz.batch import Batch, run
from tests.torture.fuzz.table import TARGETS
from worker.broker import tolerant_decoding
from worker.domain.migration import units
from worker.handlers import copies
from worker.handlers import decode as handlers_decode
from worker.providers import africastalking_answers, africastalking_recipient
from worker.settings import flags_file
from worker.web import documents, reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.ports.broker import Incoming

    Patch = Callable[[pytest.MonkeyPatch], None]

SIZES: Final = (200, 600, 1_500)
"""Inputs of the batches that are tried in turn."""


def headers_up_to_the_frame(patch: pytest.MonkeyPatch) -> None:
    """A copy takes all headers of its publisher, and adds its own."""
    patch.setattr(tolerant_decoding, "MAX_TABLE_BYTES", 131_072)
    patch.setattr(tolerant_decoding, "MAX_COPIED_BYTES", 131_072)


def recursive_decoder(patch: pytest.MonkeyPatch) -> None:
    """Tables are read by the library, which calls itself for each level."""
    patch.setattr(tolerant_decoding, "_table", decode.field_table)


def odd_delivery_modes(patch: pytest.MonkeyPatch) -> None:
    """A delivery mode that does not exist is handed on."""
    patch.setattr(tolerant_decoding, "_properties", tolerant_decoding._STRICT_PROPERTIES)


def ids_with_blanks(patch: pytest.MonkeyPatch) -> None:
    """An id may have blanks at its ends."""

    class Loose(commands.SendSms):
        message_id: str

    patch.setattr(commands, "SendSms", Loose)


def dates_before_all_time(patch: pytest.MonkeyPatch) -> None:
    """A time is converted to UTC whatever it is."""

    def moment(incoming: Incoming, header: Any) -> datetime | None:
        text = handlers_decode.text_header(incoming, header)
        try:
            return datetime.fromisoformat(text or "").astimezone(UTC)
        except ValueError:
            return None

    patch.setattr(handlers_decode, "moment", moment)


def texts_in_refusals(patch: pytest.MonkeyPatch) -> None:
    """A refusal shows what came."""
    patch.setitem(commands._GOT, "branchId", lambda value: repr(value)[:40])


def names_in_refusals(patch: pytest.MonkeyPatch) -> None:
    """A refusal of a command shows the name that came."""
    patch.setattr(problems, "name", lambda value: repr(value)[:60])


def seals_without_ids(patch: pytest.MonkeyPatch) -> None:
    """The seal of a copy does not know an id in the body."""
    patch.setattr(copies, "own_message_id", lambda _: None)


def keys_given_twice(patch: pytest.MonkeyPatch) -> None:
    """The last of two keys in a flags file wins silently."""
    patch.setattr(flags_file, "repeated", lambda _: ())


def fractions_as_per_cent(patch: pytest.MonkeyPatch) -> None:
    """Fractions are taken for per cent."""
    patch.setattr(units, "fractions", lambda *_: ())


def answers_about_others(patch: pytest.MonkeyPatch) -> None:
    """An answer about another recipient counts as one about ours."""
    patch.setattr(africastalking_answers, "is_number_of", lambda *_: True)


def guesses_as_proofs(patch: pytest.MonkeyPatch) -> None:
    """A failure with a message id counts as not sent."""
    never = property(lambda _: lambda: False)
    patch.setattr(africastalking_recipient.Recipient, "may_be_taken", never)


def lost_values(patch: pytest.MonkeyPatch) -> None:
    """Of two nested names that become one, the first wins silently."""
    patch.setattr(documents, "_agree", lambda *_: None)


def tokens_in_the_log(patch: pytest.MonkeyPatch) -> None:
    """The webhook logs the address of a callback."""
    traced = reports.Webhook._traced

    async def logged(self: Any, request: Any, provider: str, kind: Any) -> Any:
        self._log.info("callback", path=request.url.path)
        return await traced(self, request, provider, kind)

    patch.setattr(reports.Webhook, "_traced", logged)


VARIANTS: Final[tuple[tuple[Patch, str, str], ...]] = (
    (headers_up_to_the_frame, "delivery", "a header frame is one that every broker takes"),
    (recursive_decoder, "headers", "RecursionError"),
    (odd_delivery_modes, "delivery", "no other exception: ValueError"),
    (ids_with_blanks, "send-sms", "without blanks at its ends"),
    (dates_before_all_time, "delivery", "no other exception: OverflowError"),
    (texts_in_refusals, "send-sms", "no text or number of the message"),
    (names_in_refusals, "control", "no text or number of the message"),
    (seals_without_ids, "delivery", "a copy proves its round"),
    (keys_given_twice, "flags", "a key given twice is refused"),
    (fractions_as_per_cent, "flags", "two fractions are refused"),
    (answers_about_others, "africastalking", "accepted needs our recipient"),
    (guesses_as_proofs, "africastalking", "not sent needs a failure without a trace"),
    (lost_values, "callback", "every value of a callback is in a report"),
    (tokens_in_the_log, "webhook", "a token is never logged or answered"),
)


@pytest.fixture(autouse=True)
def original_decoders() -> Iterator[None]:
    """The library has our decoders again afterwards."""
    yield
    tolerant_decoding.install()


@pytest.mark.parametrize(
    ("variant", "target", "rule"), VARIANTS, ids=[variant.__name__ for variant, _, _ in VARIANTS]
)
def test_a_faulty_variant_is_found(
    variant: Patch, target: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant(monkeypatch)
    results = (run(TARGETS[target], Batch(target, 1, 0, size)) for size in SIZES)
    assert any(rule in broken for result in results for broken in result.failures)
