"""`sms-worker ctl`: steers the migration by messages, from any machine that reaches the broker.

Rules: exit codes are 0 accepted, 1 refused, 2 wrong usage, 3 no answer. It connects with the
asker's own broker login. It needs neither the store nor a worker on this machine.
"""

from __future__ import annotations

import typer

from worker.cli.ctl import alerts, changes, moves, queries, series, suppressions

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Steer the migration. Exit codes: 0 accepted, 1 refused, 2 wrong usage, 3 no answer. "
        "The broker login is AMQP_URL_<USER>; USER is administrator unless --as names another."
    ),
)
queries.register(app)
series.register(app)
moves.register(app)
changes.register(app)
alerts.register(app)
suppressions.register(app)
