"""Mutates HTTP messages so that their heads still fit their bodies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.torture.fuzz import mutate

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.torture.fuzz.target import Mutator

_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?i)content-length:[^\r\n]*")


def in_form(document: Mutator, head_words: Sequence[bytes], body_words: Sequence[bytes]) -> Mutator:
    """Mutate the head alone, or the body with its length corrected.

    Args:
        document: mutates a body that is a document.
        head_words: what means something in a head.
        body_words: what means something in a body.
    """
    words = (*head_words, *mutate.WORDS)

    def mutated(generator: random.Random, data: bytes) -> bytes | None:
        head, end, body = data.partition(_END)
        if not end:
            return None
        if generator.random() < 0.4:
            return mutate.bytes_of(generator, head, words, b"") + end + body
        made = document(generator, body)
        body = mutate.bytes_of(generator, body, body_words, b"") if made is None else made
        return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + end + body

    return mutated
