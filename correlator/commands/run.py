"""``correlator run``: the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from correlator.commands.options import ConfigFile, configuration

if TYPE_CHECKING:
    from correlator.config import Config
    from correlator.figures import Figures


def run(config: ConfigFile = None) -> None:
    """Poll, conclude, alert and report on schedule, until SIGTERM or SIGINT."""
    asyncio.run(serve(configuration(config)))


async def serve(config: Config) -> None:
    """Run the service that ``config`` describes until it is told to stop."""
    from correlator.pollers.memory import settle
    from correlator.service import Service, stopped_by_signals
    from correlator.wiring import alone, opened

    with alone(config), stopped_by_signals() as stop:
        async with opened(config) as chain:
            settle()
            with _figures_served(config, chain.figures):
                await Service(chain, config).run(stop)


@contextlib.contextmanager
def _figures_served(config: Config, figures: Figures) -> Iterator[None]:
    """Serve the figures over HTTP while the body runs, if that is configured."""
    from prometheus_client import start_http_server

    from correlator.ports import CorrelatorError

    if config.metrics is None:
        yield
        return
    where = config.metrics
    try:
        server, thread = start_http_server(where.port, where.address, figures.registry)
    except OSError as error:
        raise CorrelatorError(
            f"{config.where('metrics')}: {where.address} port {where.port}: {error.strerror}; choose another"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
