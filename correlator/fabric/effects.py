"""What a fault does to links, light and hosts at a moment: arrays for the physics to use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from correlator.fabric.dice import Dice, Floats
from correlator.fabric.faults import Fault
from correlator.fabric.layout import Layout
from correlator.fabric.light import DAY, Shade
from correlator.fabric.parameters import Trouble

FADES_DAYS = 7.0  # how long before the start of the run a fading transmitter began to fade


def corruption(fault: Fault, links: int) -> Floats:
    """Return the share of usual frames that the fault corrupts on each directed link, on average."""
    loss = np.zeros(links)
    for mark in fault.marks:
        loss[mark.link] += mark.loss
    return loss


def silence(fault: Fault, links: int) -> Floats:
    """Return the share of frames that vanish before each directed link, counted by nobody."""
    silent = np.zeros(links)
    for mark in fault.marks:
        silent[mark.link] += mark.silent
    return silent


def intensity(fault: Fault, second: float, dice: Dice, trouble: Trouble) -> float:
    """Return the factor on a fault's loss now: 1 on average, all or nothing where it comes in bursts."""
    if fault.burst >= 1.0:
        return 1.0
    luck = float(dice.stream("burst", int(second) // trouble.burst_s).random())
    return 1.0 / fault.burst if luck < fault.burst else 0.0


def shade(fault: Fault | None, active: bool, seconds: float | Floats, layout: Layout) -> Shade:
    """Return what the fault does to the light. ``seconds`` of the run, one or several: (moments, ports)."""
    answer = Shade.none(layout)
    if fault is None:
        return answer
    tx_db = answer.tx_db + np.zeros((*np.shape(seconds), 1))
    for mark in fault.marks:
        port = layout.sender(mark.link).number
        if fault.fade_db_per_day:
            days = np.maximum(FADES_DAYS + np.asarray(seconds) / DAY, 0.0)
            tx_db[..., port] += fault.fade_db_per_day * days
        if active:
            answer.way_db[mark.link] += mark.way_db
            tx_db[..., port] += mark.tx_db
            answer.bias[port] *= mark.bias
    return Shade(answer.way_db, tx_db, answer.bias)


def late_ms(faults: Sequence[Fault], layout: Layout) -> Floats:
    """Return the mean extra time of an exchange at each host, milliseconds."""
    late = np.zeros(len(layout.hosts))
    for fault in faults:
        if fault.host is not None:
            late[fault.host] += fault.level
    return late
