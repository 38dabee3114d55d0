"""Reads YAML files that people write: presets and tariffs.

Rules: there is one reader for all. A repeated key is refused (YAML 1.2, 3.2.1.1), because the
library would silently keep one of the two values. A problem names the key and the line, and nothing
else of the file. A document is bounded with its aliases written out, because a few lines of aliases
of aliases would stand for more values than any reader could ever check.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import yaml

from contracts.problems import key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yaml.nodes import MappingNode, Node

MAX_VALUES: Final = 50_000
_LONGEST_KEY: Final = 40


class _Loader(yaml.SafeLoader):
    """Refuses repeated keys. They are compared as text: `1` equals `"1"`."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node: MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            if name.value in seen:
                shown, line = key(name.value, _LONGEST_KEY), name.start_mark.line + 1
                raise ValueError(f"expected each key once, got {shown} again at line {line}")
            seen.add(name.value)
        return node


def read(text: str) -> Any:
    """Read a document.

    Raises:
        ValueError: it is no YAML, a key is repeated, or it has too many values. The text says what
            was expected.
    """
    try:
        return _read(_Loader(text))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"cannot go on at line {mark.line + 1}" if mark else f"got {type(error).__name__}"
        raise ValueError(f"expected YAML, {at}") from error


def _read(loader: _Loader) -> Any:
    node = loader.get_single_node()
    if node is None:
        return None
    if _size(node, {}) > MAX_VALUES:
        raise ValueError(f"expected at most {MAX_VALUES} values, aliases written out")
    return loader.construct_document(node)


def _size(node: Node, known: dict[int, float]) -> float:
    """Count the values with all aliases written out; without end if one is within itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        known[id(node)] = 1 + sum(_size(child, known) for child in _inner(node))
    return known[id(node)]


def _inner(node: Node) -> Iterable[Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()
