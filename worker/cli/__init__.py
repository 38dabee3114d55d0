"""The command line: one module for each group of commands.

Rules: a command is thin; other packages do the work. Exit codes: 0 done, 1 failed, 2 wrong usage;
`ctl` has also 3, no answer.
"""

from __future__ import annotations

import logging

import typer

from worker.cli import (
    contracts,
    ctl,
    dead,
    demo,
    evidence,
    local,
    plan,
    run,
    send,
    simulate,
    topology,
    unrouted,
)

app = typer.Typer(
    name="sms-worker",
    help="Moves SMS traffic from a legacy provider to Africa's Talking, step by step.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("webhook")(run.webhook)
app.command("console")(run.console)
app.command("check-config")(run.check_config)
app.command("send")(send.send)
local.app.command("demo")(demo.demo)
app.add_typer(local.app, name="local")
app.add_typer(simulate.app, name="simulate")
app.add_typer(topology.app, name="topology")
app.add_typer(contracts.app, name="contracts")
app.add_typer(ctl.app, name="ctl")
app.add_typer(dead.app, name="dead")
app.add_typer(evidence.app, name="evidence")
app.command("plan")(plan.plan)
app.command("unrouted")(unrouted.unrouted)


def main() -> None:
    """Entry point of `sms-worker`."""
    for library in ("aio_pika", "aiormq"):  # a command says in one line why it has no connection
        logging.getLogger(library).addHandler(logging.NullHandler())
    app()
