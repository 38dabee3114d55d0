"""Reads YAML files that people write: presets and tariffs.

Rules: there is one reader for all. A repeated key is refused (YAML 1.2, 3.2.1.1), because the
library would silently keep one of the two values. A problem names the key and the line, and nothing
else of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from contracts.problems import key

if TYPE_CHECKING:
    from yaml.nodes import MappingNode

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
        ValueError: it is no YAML, or a key is repeated. The text says what was expected.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"cannot go on at line {mark.line + 1}" if mark else f"got {type(error).__name__}"
        raise ValueError(f"expected YAML, {at}") from error
