"""YAML files are read whole or refused, and a small file never stands for a huge document."""

from __future__ import annotations

import pytest

from worker.settings import yaml_files


def aliases(levels: int) -> str:
    """Each line has the line before it ten times."""
    lines = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_are_read() -> None:
    assert yaml_files.read("a: &a [1, 2]\nb: *a\nc: {d: *a}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": [1, 2]},
    }


@pytest.mark.parametrize("text", [aliases(6), aliases(60), "&a [*a]", "a: &a {b: *a}"])
def test_aliases_that_stand_for_too_much_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 50000 values"):
        yaml_files.read(text)


@pytest.mark.parametrize("text", ["", "# nothing", "---"])
def test_an_empty_file_has_no_document(text: str) -> None:
    assert yaml_files.read(text) is None


@pytest.mark.parametrize("text", ["[" * 5_000, "a: [", "a: b: c", "\x00", "a: 1\n---\nb: 2"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected YAML, "):
        yaml_files.read(text)
