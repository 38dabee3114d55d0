"""`sms-worker run`, `webhook`, `console`, `check-config`: the deployed processes and their check.

Rules: the whole configuration is validated before anything starts. Every problem is printed with
the name of its variable, never with a secret's value. Exit codes of the processes: 0 stopped, 1
cannot start or died, 2 refused configuration, 3 stopped and left something undone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
import typer

from worker.app import services as worker_process
from worker.app import webhook as webhook_process
from worker.app.replica import replica_id
from worker.cli import configuration
from worker.service import LeftUndoneError, StartError
from worker.settings.addresses import shown
from worker.settings.table import table
from worker.settings.types import credentials
from worker.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine

LEFT_UNDONE: Final = 3
"""Exit code of a process that was stopped and left something undone."""


def run() -> None:
    """Run one worker until SIGTERM."""
    cfg = configuration.worker_settings()
    replica = replica_id(cfg.replica)
    logs.configure(cfg.log_level, replica, secrets=credentials(cfg))
    _run(worker_process.run(cfg, replica))


def webhook() -> None:
    """Run the delivery-report webhook until SIGTERM."""
    cfg = configuration.webhook_settings()
    replica = replica_id(cfg.replica)
    logs.configure(cfg.log_level, replica, secrets=credentials(cfg))
    _run(webhook_process.run(cfg, replica))


def console() -> None:
    """Run the console, a web page that shows the migration and steers it, until SIGTERM."""
    cfg = configuration.console_settings()
    try:
        from worker.app import console as console_process  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        typer.echo(f"no package {error.name}: install sms-migration-worker[console]", err=True)
        raise typer.Exit(1) from None
    logs.configure(cfg.log_level, "console")
    _run(console_process.run(cfg))


def _run(process: Coroutine[Any, Any, None]) -> None:
    """Run a process to its end; an error that ends it is logged, not printed."""
    try:
        asyncio.run(process)
    except LeftUndoneError:  # the last log line names it
        raise typer.Exit(LEFT_UNDONE) from None
    except StartError as error:
        structlog.get_logger(__name__).error("cannot start", problem=str(error))
        raise typer.Exit(1) from None
    except Exception:  # noqa: BLE001 - any error ends the process here
        structlog.get_logger(__name__).exception("the process died")
        raise typer.Exit(1) from None


def check_config(
    show_table: Annotated[
        bool, typer.Option("--table", help="Print every setting as a Markdown table instead.")
    ] = False,
) -> None:
    """Validate the configuration that `run` would use, and start nothing.

    Hosts are shown, logins are hidden.
    """
    if show_table:
        typer.echo(table())
        return
    cfg = configuration.checked_settings()
    typer.echo("configuration is valid")
    typer.echo(f"AMQP_URL: {shown(cfg.amqp_url.get_secret_value())}")
    typer.echo(f"MONGO_URL: {shown(cfg.mongo_url.get_secret_value())}")
