"""A dirty direction of a link: loss that the kernel counts, and less light at the receiver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from lab_plan import Cable
from lab_service import ENGINE, PERIOD_S
from lab_watch import lost, share_lost

from correlator.model import Incident

SHOWS = 3  # lost packets
DIRTY_DBM = -6.0  # 3 dB below what a clean receiver sees


@dataclass
class Dirt:
    """A direction of a link that loses a share, with less light at the receiver."""

    lab: Any
    cable: Cable
    receiver: str

    def spread(self, share: float, dbm: float | None = DIRTY_DBM) -> None:
        levels = {} if dbm is None else {"rx_dbm": dbm}
        self.lab.switches[self.receiver].light(self.cable.end(self.receiver).if_name, **levels)
        self.lab.fabric.dirty(self.cable, self.receiver, share)
        self.began = self.counted()

    def clean(self) -> None:
        self.spread(0.0, None)

    def counted(self) -> tuple[int, int]:
        """Return (errors, packets) that the kernel counted at the receiver."""
        counter = self.lab.fabric.counter
        errors = counter(self.cable, self.receiver)
        return errors, errors + counter(self.cable, self.receiver, "rx_packets")

    def shows(self) -> bool:
        """Return whether enough was lost that anybody could see it."""
        return self.counted()[0] - self.began[0] >= SHOWS

    def share(self) -> tuple[int, float]:
        """Return how many were lost since it began, and their share, by the kernel's own counters."""
        errors, packets = (now - then for now, then in zip(self.counted(), self.began, strict=True))
        return errors, errors / packets


def told_and_cleaned(watch, dirt: Dirt, story: str, share: float, until_lost: int = 0) -> Incident:
    """Make a direction dirty, wait for the line that says so, and clean it; the clear is owed.

    Where ``until_lost`` is given, the loss that the verdict tells is compared with the kernel's.
    """
    dirt.spread(share)
    try:
        incident = watch.opened(story, lost(dirt.cable, dirt.receiver), visible=dirt.shows)
        if until_lost:
            watch.calm_for(ENGINE["window"] + 2 * PERIOD_S)  # what was before is out of the window
            watch.until(lambda: dirt.share()[0] >= until_lost, f"{until_lost} losses", 300)
            errors, kernel = dirt.share()
            verdict = watch.now(incident)
            said = share_lost(verdict)
            print(f"{story}: the kernel lost {errors}, {kernel:.4f}; the verdict says {said:.4f}")
            print(f"{story}: {verdict.severity}, {verdict.hurt} pairs slow")
            assert said == pytest.approx(kernel, rel=0.2)
            assert verdict.pairs, "no pair is said to be slow"
    finally:
        dirt.clean()
    watch.owed.append((incident, story))
    return incident
