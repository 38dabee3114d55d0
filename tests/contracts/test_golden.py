"""Messages as they once were published. A golden file is added, never changed or removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from contracts.catalogue import MESSAGES
from contracts.codec import encode
from contracts.model import Strict
from tests.contracts.wire_samples import SAMPLES

if TYPE_CHECKING:
    from contracts.model import Wire

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))
MODELS = {each.name: each.model for each in MESSAGES}


def model_of(path: Path) -> type[Wire]:
    return MODELS[path.name.split(".")[0]]


def among(written: Any, again: Any) -> Any:
    """Of what is written again, the fields that were written then, at every depth."""
    if isinstance(written, dict) and isinstance(again, dict):
        return {name: among(written[name], again[name]) for name in written if name in again}
    if isinstance(written, list) and isinstance(again, list):
        return [among(*pair) for pair in zip(written, again, strict=True)]
    return again


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_field_of_a_golden_message_is_written_again_as_it_was(path: Path) -> None:
    written, model = json.loads(path.read_bytes()), model_of(path)
    again = json.loads(encode(model.model_validate(written)))
    assert among(written, again) == written
    assert model.model_validate(again) == model.model_validate(written)  # fields added say nothing


@pytest.mark.parametrize("name", SAMPLES)
def test_a_golden_message_still_means_the_same_values(name: str) -> None:
    model, fields = SAMPLES[name]
    read = model.model_validate_json((GOLDEN / f"{name}.json").read_bytes())
    assert read == model.model_validate(fields)


def test_every_kind_of_message_has_a_golden_one() -> None:
    assert {path.name.split(".")[0] for path in FILES} == set(MODELS)


def test_every_golden_message_has_its_values_on_record() -> None:
    assert {path.stem for path in FILES} == set(SAMPLES)


LENIENT = [path for path in FILES if not issubclass(model_of(path), Strict)]
STRICT = [path for path in FILES if issubclass(model_of(path), Strict)]


@pytest.mark.parametrize("path", STRICT, ids=lambda path: path.stem)
def test_an_unknown_field_of_a_command_is_refused(path: Path) -> None:
    wider = json.dumps(json.loads(path.read_bytes()) | {"everywhere": True})
    with pytest.raises(ValidationError, match="everywhere"):
        model_of(path).model_validate_json(wider)


@pytest.mark.parametrize("path", LENIENT, ids=lambda path: path.stem)
def test_a_field_that_a_newer_version_adds_is_ignored(path: Path) -> None:
    written = json.loads(path.read_bytes())
    newer = json.dumps(written | {"addedLater": {"deep": [1]}})
    assert model_of(path).model_validate_json(newer) == model_of(path).model_validate(written)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_snake_case_means_the_same(path: Path) -> None:
    model = model_of(path)
    read = model.model_validate_json(path.read_bytes())
    snake = {
        name: getattr(read, name) for name in model.model_fields if name in read.model_fields_set
    }
    assert model.model_validate(snake) == read
