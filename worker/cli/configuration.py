"""Reads the settings of a process, and reports every problem by its variable or file.

Rules: all problems are reported at once. Files that a setting names, and values that only a library
can check, are checked as soon as that setting can be read, whatever else is wrong. A problem never
quotes a credential. It quotes text that is not ours only if that text cannot hold a credential.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote

import typer
from pydantic import ValidationError, create_model

from contracts import documents
from worker.domain.alerts.contacts import is_mail
from worker.domain.figures import tariff
from worker.domain.migration import flags_document
from worker.providers import registry
from worker.settings import flags_file, secret_files, yaml_files
from worker.settings.addresses import AMQP_FILES, nearest, pairs, split
from worker.settings.console import ConsoleSettings
from worker.settings.environment import FromEnvironment, Names, repeated_keys
from worker.settings.model import Settings, WebhookSettings
from worker.store import address_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from worker.settings.providers import ProviderSettings
    from worker.settings.secret_files import SecretFiles

Read = TypeVar("Read", bound=FromEnvironment)

NAMES: Final = Names(Settings, WebhookSettings, ConsoleSettings)
_JSON: Final = frozenset({"dict_type", "frozen_set_type", "model_type"})
"""Types of errors in values that must be JSON in the environment."""


def worker_settings() -> Settings:
    """Return the settings of a worker; end the command if there is a problem.

    The flags file is not checked, because only the very first start reads it.
    """
    return _read(Settings, list(_behind_settings()))


def checked_settings() -> Settings:
    """Return the settings of a worker after a check that includes the flags file."""
    return _read(Settings, [*_behind_settings(), *_in_flags()])


def webhook_settings() -> WebhookSettings:
    """Return the settings of a webhook; end the command if there is a problem."""
    return _read(WebhookSettings, list(_of_broker()))


def console_settings() -> ConsoleSettings:
    """Return the settings of a console; end the command if there is a problem."""
    return _read(ConsoleSettings, list(_of_files("console_cert", "console_key")))


def refused(problems: list[str]) -> typer.Exit:
    """Print the problems; return the exit to raise."""
    typer.echo("configuration refused:", err=True)
    for problem in problems:
        typer.echo(f"  {problem}", err=True)
    return typer.Exit(2)


def named(error: ValidationError) -> list[str]:
    """Return the problems of a validation, each with the name of its variable."""
    return [
        problem
        for each in error.errors(include_input=False, include_url=False)
        for problem in _problems(each)
    ]


def _read(model: type[Read], elsewhere: list[str]) -> Read:
    files = secret_files.read(os.environ)
    problems = [*_in_files(files), *NAMES.unknown(os.environ)]
    problems += [*NAMES.given_twice(secret_files.variables(os.environ)), *elsewhere]
    try:
        settings = model()
    except ValidationError as error:
        raise refused([*_but_of(files, named(error)), *problems]) from None
    if problems:
        raise refused(problems)
    return settings


def variables() -> dict[str, str]:
    """Return the variables of this process and its secret files; end the command at a problem.

    Files that no setting reads are no problem here.
    """
    files = secret_files.read(os.environ)
    if files.problems:
        raise refused([f"{name}: {problem}" for name, problem in files.problems.items()])
    return secret_files.variables(os.environ)


def _in_files(files: SecretFiles) -> Iterator[str]:
    """Yield the problems of secret files, each with the setting, or with the file nobody reads."""
    yield from (f"{name}: {problem}" for name, problem in files.problems.items())
    for name, problem in NAMES.unread(files.values):
        yield f"{secret_files.FOLDER}: {name}: {problem}"


def _but_of(files: SecretFiles, problems: list[str]) -> Iterator[str]:
    """Yield problems, without those of settings that are missing because of an unreadable file."""
    unreadable = {name.upper() for name in files.problems}
    yield from (each for each in problems if each.partition(":")[0] not in unreadable)


def _problems(error: ErrorDetails) -> Iterator[str]:
    name = NAMES.shown(error["loc"])
    if error["type"] == "value_error":
        texts = error["msg"].removeprefix("Value error, ").split("; ")
        yield from (_at_field(name, text) for text in texts)
    elif error["type"] == "extra_forbidden":
        yield f"{name}: {error['msg']}{nearest(name, NAMES.all)}"
    elif error["type"] not in _JSON:
        yield f"{name}: {error['msg']}"
    elif keys := repeated_keys(_given(name)):
        yield from (f"{name}: {documents.given_twice(key)}" for key in keys)
    else:
        yield f"{name}: {error['msg']} (as JSON)"


def _given(name: str) -> str:
    given = secret_files.variables(os.environ)
    return next((value for each, value in given.items() if each.upper() == name), "")


def _at_field(name: str, text: str) -> str:
    """Add the variable's name to a problem of a group, such as `username: expected ...`."""
    field, colon, rest = text.partition(":")
    field, _, key = field.partition(".")  # `parameters.route: expected ...`
    below = f"{name}__{field.upper()}"
    if colon and below in NAMES.all:
        return f"{below}: {key}:{rest}" if key else f"{below}:{rest}"
    return f"{name}: {text}"


def _one(field: str, model: type[FromEnvironment] = Settings) -> Any:
    """Return one setting; None if it has a problem, which is reported with all the others."""
    try:
        return getattr(_alone(field, model)(), field)
    except ValidationError:
        return None


@cache
def _alone(field: str, model: type[FromEnvironment]) -> type[FromEnvironment]:
    info: Any = model.model_fields[field]
    fields: dict[str, Any] = {field: (info.annotation, info)}
    return create_model("One", __base__=FromEnvironment, **fields)


def _behind_settings() -> Iterator[str]:
    """Yield problems of addresses, accounts and prices that the settings alone do not show."""
    yield from _of_broker()
    if database := _one("mongo_url"):
        problems = address_check.problems(database.get_secret_value())
        yield from (f"MONGO_URL: {problem}" for problem in problems)
    yield from _of_account("SMS_TARGET", _one("target"))
    yield from _of_account("SMS_LEGACY", _one("legacy"))
    yield from _in_tariffs(_one("tariffs_file"))


def _of_broker() -> Iterator[str]:
    address = _one("amqp_url")
    options = pairs(split(address.get_secret_value().partition("://")[2]).query) if address else []
    for name, value in options:
        if name in AMQP_FILES and not Path(unquote(value)).exists():
            yield f"AMQP_URL: option {name}: expected a file that exists"


def _of_files(*fields: str) -> Iterator[str]:
    for field in fields:
        file = _one(field, ConsoleSettings)
        if file is not None and not file.is_file():
            yield f"{NAMES.shown([field])}: expected a file that exists"


def _of_account(name: str, account: ProviderSettings | None) -> Iterator[str]:
    if account is None:
        return
    try:
        registry.build(account)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            where = "".join(f"{step}: " for step in [".".join(map(str, each["loc"]))] if step)
            texts = each["msg"].removeprefix("Value error, ").split("; ")
            yield from (f"{name}__PRESET: {where}{' '.join(text.split())}" for text in texts)
    except ValueError as error:
        yield from (_at_field(name, " ".join(text.split())) for text in str(error).split("; "))


def _in_tariffs(file: Path | None) -> Iterator[str]:
    if file is None:
        return
    try:
        tariff.parse(yaml_files.read(file.read_text(encoding="utf-8")))
    except tariff.TariffError as error:
        yield from (f"{file}: {problem}" for problem in error.problems)
    except (OSError, ValueError) as error:
        yield f"SMS_TARIFFS_FILE: {_unreadable(file, error)}"


def _in_flags() -> Iterator[str]:
    file, target, legacy = _one("flags_file"), _one("target"), _one("legacy")
    if file is None:
        return
    ids = (target.id if target else "africastalking", legacy.id if legacy else "legacy")
    try:
        read, _ = flags_document.parse(flags_file.read(file.read_bytes()), *ids)
    except flags_document.FlagsError as error:
        yield from (f"{file}: {problem}" for problem in error.problems)
    except (OSError, ValueError, RecursionError) as error:
        yield f"SMS_FLAGS_FILE: {_unreadable(file, error)}"
    else:
        yield from _unreachable(file, read.migration.notify)


def _unreachable(file: Path, recipients: tuple[str, ...]) -> Iterator[str]:
    """Yield a problem if these settings cannot reach a recipient; `run` raises an alert for it."""
    given = secret_files.variables(os.environ)
    unset = not any(name.upper().startswith("SMS_SMTP") for name in given)
    if unset and any(map(is_mail, recipients)):
        yield f"SMS_SMTP__HOST: expected a mail server, {file} names mail addresses"


def _unreadable(file: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
    return f"{file}: {reason or type(error).__name__}"
