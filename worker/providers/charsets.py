"""Finds the charset of a text from outside.

Rules: pure. The declared charset counts if it is one of the known charsets. Other names never reach
Python's registry of codecs, which would store them for ever and also has codecs that are no
charsets. UTF-16 and UTF-32 are recognised by their bytes.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Final

_DECLARED: Final = re.compile(
    r'[;,\s]charset\s*+=\s*+["\']?([\w.:-]{1,40})', re.ASCII | re.IGNORECASE
)
_KNOWN: Final = re.compile(
    r"utf[-_]?8|utf[-_]?(16|32)|utf[-_](16|32)[-_]?[lb]e|latin[-_]?1"
    r"|iso[-_]?8859[-_]([1-9]|1[013-6])|(windows[-_]|cp)125[0-8]"
    r"|cp(437|850|852|866)|koi8[-_][ru]|gbk|gb2312|gb18030|big5|shift[-_]jis|euc[-_](jp|kr)"
)
_WIDE: Final = ("utf-16", "utf-32", "utf_16", "utf_32")
_MARKED: Final = frozenset({"utf-16", "utf-32"})


def declared(parameters: str) -> str | None:
    """The charset that a content type names; None: it names none, or an unknown one."""
    named = _DECLARED.search(parameters[:1_000])
    name = named[1].lower() if named else ""
    return codecs.lookup(name).name if _KNOWN.fullmatch(name) else None


def shown(body: bytes) -> str:
    """The charset by the byte order mark or the zeros in the bytes; else UTF-8."""
    charset = json.detect_encoding(body).removesuffix("-sig")
    # Zeros around a text are ignored: some servers send the zero that ends it in their memory.
    is_wide = charset in _MARKED or b"\x00" in body.strip(b"\x00")
    return charset if is_wide else "utf-8"


def is_wide(charset: str) -> bool:
    """Whether it is UTF-16 or UTF-32, so that ASCII is not written in single bytes."""
    return charset.startswith(_WIDE)
