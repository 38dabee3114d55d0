"""Builds the console as its own process, without a store and without a login of its own.

Rules: pages are on one port, `/live` and `/ready` on a private one. It needs nobody to start: who
is away is said on the page. Streams end first, because the server waits for them. The process makes
no core dumps, and no other process of its user can read its memory: it holds passwords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.app import memory
from worker.app.start_and_stop import Process
from worker.broker.control_client import ControlClient
from worker.clock import SystemClock
from worker.console.cookies import Cookies
from worker.console.events import Sheet
from worker.console.feeds import Feeds
from worker.console.login import CLIENT, Doorkeeper, address_with
from worker.console.place import Place
from worker.console.render import Renderer
from worker.console.sessions import Sessions
from worker.console.site import Site
from worker.console.static_files import StaticFiles
from worker.console.stream import Streams
from worker.console.tokens import Tokens
from worker.console.viewers import Viewers
from worker.service import Background
from worker.web.health import health_app
from worker.web.server import Certificate, WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.console.known import Known
    from worker.console.viewer import Viewer
    from worker.ports.clock import Clock
    from worker.settings.console import ConsoleSettings


def build(cfg: ConsoleSettings) -> Process:
    """Build the console from its settings."""
    background = Background()

    def connect(name: str, password: str) -> ControlClient:
        return ControlClient(address_with(cfg.console_broker, name, password), CLIENT)

    site = site_of(cfg, background, connect, SystemClock())
    public = WebServer(
        site.app(),
        background,
        host=cfg.console_host,
        port=cfg.console_port,
        name="console",
        settings="SMS_CONSOLE_HOST, SMS_CONSOLE_PORT",
        certificate=_certificate(cfg),
    )
    private = WebServer(
        health_app({}),
        background,
        host=cfg.console_private_host,
        port=cfg.console_private_port,
        name="health",
        settings="SMS_CONSOLE_PRIVATE_HOST, SMS_CONSOLE_PRIVATE_PORT",
    )
    tidying = memory.Tidying(background)
    return Process((private, tidying, site.sessions, site.feeds, public, site.streams), background)


def site_of(
    cfg: ConsoleSettings,
    background: Background,
    connect: Callable[[str, str], ControlClient],
    clock: Clock,
) -> Site:
    """Build the parts of the console.

    Args:
        cfg: the settings.
        background: runs what goes on between requests.
        connect: makes the client of a login, from name and password.
        clock: the time.
    """
    place = Place.of(cfg)
    static = StaticFiles()
    renderer = Renderer(static.paths)

    def render(known: Known, viewer: Viewer) -> Sheet:
        return Sheet(renderer.sections(known, viewer, clock.now()), renderer.ages(known))

    sessions = _sessions(cfg, background, clock)
    feeds = Feeds(clock, background, sessions, render)
    viewers = Viewers(sessions, cfg.console_title, place.base)
    return Site(
        place=place,
        clock=clock,
        cookies=Cookies(place, Tokens()),
        sessions=sessions,
        viewers=viewers,
        doorkeeper=Doorkeeper(connect, sessions, clock),
        feeds=feeds,
        streams=Streams(feeds, viewers),
        renderer=renderer,
        static=static,
    )


def _sessions(cfg: ConsoleSettings, background: Background, clock: Clock) -> Sessions:
    return Sessions(
        clock,
        background,
        idle_s=60.0 * cfg.console_idle_minutes,
        observer_idle_s=60.0 * cfg.console_observer_idle_minutes,
    )


def _certificate(cfg: ConsoleSettings) -> Certificate | None:
    if cfg.console_cert is None or cfg.console_key is None:
        return None
    return Certificate(cfg.console_cert, cfg.console_key, "SMS_CONSOLE_CERT, SMS_CONSOLE_KEY")


async def run(cfg: ConsoleSettings) -> None:
    """Run the console until SIGTERM or SIGINT."""
    memory.keep_private()
    await build(cfg).run_until_signal()
