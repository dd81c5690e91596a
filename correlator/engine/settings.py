"""Every part's settings in one place, so that a configuration can name them: ``localize.named``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from correlator.engine import (
    baseline,
    bursts,
    causes,
    corrected,
    drift,
    health,
    impacts,
    incidents,
    lanes,
    localize,
    measures,
    optics,
    rates,
    services,
    symptoms,
)


@dataclass(frozen=True)
class Params:
    """The settings of each part, and of how they are put together."""

    window: timedelta = timedelta(minutes=5)  # what counts as now: five polls of a minute
    least_share: float = 0.3  # of a slow pair's excess, that a link must account for to be its verdict
    sure_p: float = 1e-6  # of a pair's slowness, before "slow, cause unknown" is said
    sure_ratio: float = 1.5  # likewise of its times
    shown_nats: float = 3.0  # of a link's own telemetry (log Bayes factor), to speak for itself: 20 to 1
    timeout_ms: float = 2000.0  # of waits a lost packet, some time-outs of 200 ms; beyond it, hosts are late
    lasting_p: float = 1e-4  # of what pairs lost without their worst moment, where only they accuse a link
    most_silent: int = 3  # targets that are told one by one; more at once are one finding
    settles: timedelta = timedelta(minutes=10)  # after a restart, for links, routes and windows of polls
    most_links: int = 256  # in question at a time, besides those that their own telemetry convicts
    rates: rates.Params = field(default_factory=rates.Params)
    health: health.Params = field(default_factory=health.Params)
    lanes: lanes.Params = field(default_factory=lanes.Params)
    corrected: corrected.Params = field(default_factory=corrected.Params)
    drift: drift.Params = field(default_factory=drift.Params)
    optics: optics.Params = field(default_factory=optics.Params)
    baseline: baseline.Params = field(default_factory=baseline.Params)
    measures: measures.Params = field(default_factory=measures.Params)
    bursts: bursts.Params = field(default_factory=bursts.Params)
    symptoms: symptoms.Params = field(default_factory=symptoms.Params)
    localize: localize.Params = field(default_factory=localize.Params)
    services: services.Params = field(default_factory=services.Params)
    impacts: impacts.Params = field(default_factory=impacts.Params)
    causes: causes.Params = field(default_factory=causes.Params)
    incidents: incidents.Params = field(default_factory=incidents.Params)
