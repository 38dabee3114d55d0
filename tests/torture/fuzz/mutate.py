"""Makes hostile inputs from others: bytes of any kind, and JSON that stays JSON.

Rules: the same generator makes the same inputs. Most mutations are small, so that an input still
gets past the first check; a few repeat a part thousands of times, for depth and length.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from tests.torture.fuzz.target import Mutator

WORDS: Final = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000",
    b"\xe2\x80\xa8", b"NaN", b"-Infinity", b"1e400", b"null", b"true", b"[]", b"{}", b'""', b'"',
    b"\\", b"[", b"{", b"}", b"]", b":", b",", b"\r\n", b"\n", b"\t", b" ", b"-", b"0", b"%00",
    b"%", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616",
    b"-9223372036854775809", b"4294967296", b"65536", b"0.05", b"1e308",
    b"2099-01-01T00:00:00+23:59", b"+260977654321",
    b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2026-03-01T12:00:00Z",
)  # fmt: skip
"""What parsers of every kind trip over."""
_REPEATS: Final = (2, 3, 17, 33, 340, 2_000)
_SMALL: Final = 2_000
_GROWS: Final = 0.05


def bytes_of(generator: random.Random, data: bytes, words: Sequence[bytes], other: bytes) -> bytes:
    """Mutate at a few places.

    Args:
        generator: decides.
        data: the input to change.
        words: byte strings to put in.
        other: another input, to take a part of.
    """
    for _ in range(1 + int(-math.log(1 - generator.random()) * 1.2)):
        data = generator.choice(_WAYS)(generator, data, words, other)
    return data


def _span(generator: random.Random, data: bytes) -> tuple[int, int]:
    """A part of the input, mostly a short one."""
    begins = generator.randrange(len(data) + 1)
    length = generator.randrange(1, 9) if generator.random() < 0.8 else generator.randrange(200)
    return begins, min(len(data), begins + length)


def _flip(generator: random.Random, data: bytes, _words: Sequence[bytes], _other: bytes) -> bytes:
    if not data:
        return data
    place = generator.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << generator.randrange(8)]) + data[place + 1 :]


def _overwrite(
    generator: random.Random, data: bytes, _words: Sequence[bytes], _other: bytes
) -> bytes:
    begins, ends = _span(generator, data)
    return data[:begins] + generator.randbytes(ends - begins) + data[ends:]


def _remove(generator: random.Random, data: bytes, _words: Sequence[bytes], _other: bytes) -> bytes:
    begins, ends = _span(generator, data)
    return data[:begins] + data[ends:]


def _cut(generator: random.Random, data: bytes, _words: Sequence[bytes], _other: bytes) -> bytes:
    return data[: generator.randrange(len(data) + 1)]


def _insert(generator: random.Random, data: bytes, words: Sequence[bytes], _other: bytes) -> bytes:
    place = generator.randrange(len(data) + 1)
    return data[:place] + generator.choice(words) + data[place:]


def _replace(generator: random.Random, data: bytes, words: Sequence[bytes], _other: bytes) -> bytes:
    begins, ends = _span(generator, data)
    return data[:begins] + generator.choice(words) + data[ends:]


def _repeat(generator: random.Random, data: bytes, _words: Sequence[bytes], _other: bytes) -> bytes:
    begins, ends = _span(generator, data)
    times = _REPEATS[min(int(generator.expovariate(0.7)), len(_REPEATS) - 1)]
    return data[:begins] + data[begins:ends] * times + data[ends:]


def _splice(generator: random.Random, data: bytes, _words: Sequence[bytes], other: bytes) -> bytes:
    begins, ends = _span(generator, data)
    first = generator.randrange(len(other) + 1)
    part = other[first : first + generator.randrange(1, 300)]
    return data[:begins] + part + data[ends:]


_WAYS: Final = (_flip, _overwrite, _remove, _cut, _insert, _insert, _replace, _repeat, _splice)

# --- JSON ----------------------------------------------------------------------------------------

_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 5, 1.0, 0.05, 1e308, -0.0, 2**31, 2**53, 2**63 - 1, 2**63,
    -(2**63), -(2**63) - 1, 2**70, 10**40, math.nan, math.inf, "",
    " ", "\0", "\ud800", "a\udfff", "x" * 129,
    "x" * 5_000, "\u202e", "\u2028", "a.b$c", "NaN", "null", "12", "0012", "-7", "+260977654321",
    "0977*", "2026-03-01T12:00:00Z", "2026-03-01 12:00:00+02", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", [], {}, [[]], [{}], {"": ""}, [None] * 40,
)  # fmt: skip


def json_like(names: Iterable[str], values: Sequence[Any] = ()) -> Mutator:
    """Mutate a JSON document by its values and names, so that it mostly stays JSON.

    Args:
        names: names that mean something there.
        values: values that mean something there, beside those that all readers trip over.
    """
    known, choices = tuple(names), (*_VALUES, *values, *values)

    def mutated(generator: random.Random, data: bytes) -> bytes | None:
        try:
            document = json.loads(data)
            for _ in range(generator.choice((1, 1, 1, 2, 4))):
                document = _changed(generator, document, known, choices)
            if len(data) < _SMALL and generator.random() < _GROWS:
                document = _grown(generator, document, known)
            return _written(generator, document)
        except (ValueError, RecursionError):
            return None

    return mutated


def _changed(
    generator: random.Random, document: Any, names: Sequence[str], choices: Sequence[Any]
) -> Any:
    """Walk down to some place and change what is there."""
    inner = isinstance(document, dict | list) and document
    if not inner or generator.random() < 0.1:
        return _other(generator, document, choices)
    if isinstance(document, dict):
        return _changed_object(generator, document, names, choices)
    place = generator.randrange(len(document))
    changed = [_changed(generator, document[place], names, choices)]
    times = generator.choice((0, 1, 1, 1, 2))
    return [*document[:place], *changed * times, *document[place + 1 :]]


def _changed_object(
    generator: random.Random,
    document: dict[str, Any],
    names: Sequence[str],
    choices: Sequence[Any],
) -> dict[str, Any]:
    name = generator.choice(list(document))
    match generator.randrange(6):
        case 0:
            return {each: value for each, value in document.items() if each != name}
        case 1:
            return {**document, generator.choice(names): generator.choice(choices)}
        case 2:
            other = generator.choice(names)
            return {other if each == name else each: value for each, value in document.items()}
    return {**document, name: _changed(generator, document[name], names, choices)}


def _other(generator: random.Random, value: Any, choices: Sequence[Any]) -> Any:
    match generator.randrange(12):
        case 0:
            return [value]
        case 1 if isinstance(value, str):
            return value + str(generator.choice(choices))
        case 2:
            return str(value)
    return generator.choice(choices)


def _grown(generator: random.Random, document: Any, names: Sequence[str]) -> Any:
    """Put one of its values, or all of it, deeper down or there many times."""
    place = generator.choice([*document]) if isinstance(document, dict) and document else None
    value = document if place is None else document[place]
    times = generator.choice((2, 15, 31, 40, 300))
    if generator.random() < 0.3:
        value = [value] * times
    else:
        for _ in range(min(times, 40)):
            value = [value] if generator.random() < 0.5 else {generator.choice(names): value}
    return value if place is None else {**document, place: value}


def _written(generator: random.Random, document: Any) -> bytes:
    """Write it as one of the serialisers in use would; now and then with a name given twice."""
    text = json.dumps(document, ensure_ascii=generator.random() < 0.5)
    if isinstance(document, dict) and document and generator.random() < 0.03:
        name = json.dumps(generator.choice(list(document)))
        text = text[:-1] + f", {name}: {json.dumps(generator.choice(_VALUES[:8]))}}}"
    return text.encode("utf-8", "surrogatepass")
