"""An interface's counters as one row: 64 bits where the device has them, else 32 and so labelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from correlator.pollers.counter_layout import DISCONTINUITY, Interface, Layout, layout
from correlator.pollers.device import Device, Row, TableRows
from correlator.pollers.further import FurtherReader
from correlator.pollers.names import if_name
from correlator.pollers.text import number, text, unsigned
from correlator.profiles.profile import Counter
from correlator.snmp.target import Index

Ways = Mapping[str, tuple[Counter, ...]]

TRAFFIC = ("in_octets", "out_octets", "in_packets", "out_packets")
CODEWORDS = ("fec_corrected", "fec_uncorrected")  # too fast for 32 bits: as wide as the device has them
WALK_ANEW_AFTER = 60  # readings: finds new interfaces where ifTableLastChange is not kept
OBJECTS_TO_NAME = ("ifName", "ifDescr", "ifCounterDiscontinuityTime")


@dataclass
class Plan:
    """What a device has shown to answer: which columns to ask for and for which interfaces.

    ``last_change`` and ``uptime_cs`` are those of the reading that the plan was made from; it holds
    until one of them says that interfaces have changed. ``layout`` is the same for reading many devices
    at once, None where that cannot be.
    """

    columns: frozenset[str]
    names: Mapping[Index, str]
    last_change: int | None
    uptime_cs: int | None
    layout: Layout | None = None
    uses: int = 0


@dataclass
class CounterReader:
    """Reads a device's counters: walks at first, then fetches the rows that it knows."""

    plan: Plan | None = None
    further: FurtherReader = field(default_factory=FurtherReader)

    async def read(self, device: Device) -> list[dict[str, Any]]:
        """Return rows of table counters without ``at`` and ``device``.

        A row's values share one message with its sysUpTime and its name, so that a number that
        changed hands is noticed: then everything is walked anew.
        """
        if self.plan is not None and self.plan.uses < WALK_ANEW_AFTER:
            self.plan.uses += 1
            found = await device.table("counters", self.plan.columns, self.plan.names)
            if _still_holds(self.plan, found):
                await self.further.add(device, found)
                return rows(found, device.profile.counters)
        found = await device.table("counters")
        self.plan = None if "counters" in device.failed else _plan(found, device.profile.counters)
        await self.further.learn(device, found)
        if self.plan is not None:
            self.plan.layout = _layout(device, self.plan, found, self.further)
        return rows(found, device.profile.counters)

    def known(self, now: datetime) -> tuple[Layout, int | None, tuple[int, ...]] | None:
        """Return layout, sysUpTime when it was made, and its companions' values; None if due anew.

        ``now`` plays no part: counters are learned anew after so many readings.
        """
        plan = self.plan
        if plan is None or plan.layout is None or plan.uses >= WALK_ANEW_AFTER:
            return None
        return plan.layout, plan.uptime_cs, () if plan.last_change is None else (plan.last_change,)

    def doubt(self, for_good: bool) -> None:
        """Learn anew at the next reading or, ``for_good``, read this device alone until that is due."""
        if self.plan is not None and for_good:
            self.plan.layout = None
        elif not for_good:
            self.plan = None

    def used(self) -> None:
        """Note a reading by the plan."""
        if self.plan is not None:
            self.plan.uses += 1


def rows(found: TableRows, ways: Ways) -> list[dict[str, Any]]:
    """Return the rows of table counters."""
    return [
        _row(index[0], row, ways)
        for index, row in sorted(found.items())
        if len(index) == 1 and if_name(row) is not None
    ]


def _row(if_index: int, row: Row, ways: Ways) -> dict[str, Any]:
    chosen = {column: _choose(row, alternatives) for column, alternatives in ways.items()}
    traffic_bits, error_bits = _widths(chosen)
    values = {
        column: _value(row, way, _cut(column, traffic_bits, error_bits)) for column, way in chosen.items()
    }
    return {
        "if_index": if_index,
        "if_name": if_name(row),
        "uptime_cs": unsigned(row.get("sysUpTime"), 32),
        "discontinuity_cs": unsigned(row.get("ifCounterDiscontinuityTime"), 32),
        "octets_width_bits": traffic_bits,
        "errors_width_bits": error_bits,
        **values,
    }


def _choose(row: Row, alternatives: tuple[Counter, ...]) -> Counter | None:
    """Return the best way whose first object the row has (the rest of a sum may be missing: 0)."""
    return next((way for way in alternatives if unsigned(row.get(way.sum[0])) is not None), None)


def _bits(ways: Iterable[Counter | None]) -> int | None:
    return min((way.bits for way in ways if way is not None), default=None)


def _value(row: Row, way: Counter | None, bits: int | None) -> int | None:
    """Return a counter's value as a counter of that width shows it.

    A sum of counters, cut to their width, moves as their sum does. Where a device counts octets in 64
    bits and packets in 32, packets are left as they are: their wrap is an impossible jump and costs
    one interval, where cutting the octets would make many wraps look like one.
    """
    if way is None or bits is None:
        return None
    width: int = min(way.bits, bits)
    return sum(unsigned(row.get(name)) or 0 for name in way.sum) & ((1 << width) - 1)


def _plan(found: TableRows, ways: Ways) -> Plan | None:
    names: dict[Index, str] = {
        index: name for index, row in found.items() if len(index) == 1 and (name := if_name(row))
    }
    if not names:
        return None
    chosen = {
        object_name
        for index in names
        for alternatives in ways.values()
        if (way := _choose(found[index], alternatives))
        for object_name in way.sum
    }
    present = {object_name for index in names for object_name in found[index]}
    any_row = found[next(iter(names))]
    return Plan(
        columns=frozenset((chosen | set(OBJECTS_TO_NAME)) & present),
        names=names,
        last_change=number(any_row.get("ifTableLastChange")),
        uptime_cs=number(any_row.get("sysUpTime")),
    )


def _layout(device: Device, plan: Plan, found: TableRows, further: FurtherReader) -> Layout | None:
    """Return how the plan's interfaces are read together with those of other devices; None if it cannot be.

    Without sysUpTime a restart would not be noticed.
    """
    table = device.profile.tables["counters"]
    answered = {"sysUpTime": plan.uptime_cs, "ifTableLastChange": plan.last_change}
    scalars = [table.scalars[name] for name, value in answered.items() if value is not None]
    if plan.uptime_cs is None:
        return None
    columns = {name: device.whole(table.columns[name]) for name in plan.columns}
    places = further.places()
    interfaces = []
    for index, name in sorted(plan.names.items()):
        row, ways = found[index], device.profile.counters
        by = "ifName" if text(row.get("ifName")) else "ifDescr"
        octets = row.get(by)
        if by not in columns or not isinstance(octets, bytes):
            return None
        chosen = {column: way for column, known in ways.items() if (way := _choose(row, known))}
        wanted = sorted({DISCONTINUITY, *(n for way in chosen.values() for n in way.sum)})
        there = [n for n in wanted if unsigned(row.get(n)) is not None]
        traffic, errors = _widths(chosen)
        interfaces.append(
            Interface(
                index[0],
                name,
                columns[by],
                octets,
                tuple((n, columns[n]) for n in there if (n, index[0]) not in places),
                tuple((n, *places[n, index[0]]) for n in there if (n, index[0]) in places),
                tuple(
                    (column, way, min(way.bits, bits))
                    for column, way in chosen.items()
                    if (bits := _cut(column, traffic, errors)) is not None
                ),
                (traffic, errors),
            )
        )
    return layout(scalars, interfaces, sorted(found.keys() - plan.names.keys()))


def _widths(chosen: Mapping[str, Counter | None]) -> tuple[int | None, int | None]:
    """Return octets_width_bits and errors_width_bits."""
    traffic = _bits(chosen.get(column) for column in ("in_octets", "out_octets"))
    return traffic, _bits(way for column, way in chosen.items() if column not in (*TRAFFIC, *CODEWORDS))


def _cut(column: str, traffic: int | None, errors: int | None) -> int | None:
    """Return the width at which a column is told."""
    return traffic if column in TRAFFIC else 64 if column in CODEWORDS else errors


def _still_holds(plan: Plan, found: TableRows) -> bool:
    """Whether a reading by the plan found the interfaces of the plan, under their names."""
    return set(found) == set(plan.names) and all(
        if_name(row) == plan.names[index]
        and number(row.get("ifTableLastChange")) == plan.last_change
        and not restarted(plan.uptime_cs, number(row.get("sysUpTime")))
        for index, row in found.items()
    )


def restarted(before_cs: int | None, after_cs: int | None) -> bool:
    """Whether sysUpTime went back; it wraps at 2^32 hundredths of a second, 497 days."""
    return before_cs is not None and after_cs is not None and (after_cs - before_cs) % 2**32 >= 2**31
