"""Where a technician finds the ends of a work order: racks of devices, panels of cables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from correlator.model import Action, Verdict


class Places:
    """What ``devices`` and ``cables`` know: the rack of a device, the panel of an end."""

    def __init__(self, devices: pd.DataFrame, cables: pd.DataFrame) -> None:
        racks = devices.dropna(subset=["device", "rack"])
        self._racks: dict[str, str] = dict(zip(racks["device"], racks["rack"], strict=True))
        self._panels: dict[tuple[str, str], str] = {}
        for side in ("a", "b"):
            end = [f"{side}_device", f"{side}_if_name", f"{side}_panel"]
            rows: Any = cables[end].dropna().itertuples(index=False, name=None)
            self._panels |= {(device, if_name): panel for device, if_name, panel in rows}

    def told(self, verdict: Verdict) -> Verdict:
        """Return the verdict, its work order with the places that are known."""
        return replace(verdict, actions=tuple(map(self._placed, verdict.actions)))

    def _placed(self, action: Action) -> Action:
        device, if_name = action.device or "", action.if_name or ""
        return replace(action, rack=self._racks.get(device), panel=self._panels.get((device, if_name)))
