"""Tables made of whole columns: what stays from one to the next is nobody's to change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from correlator import frames
from correlator.pollers import columns
from correlator.pollers.columns import Masked, Staying
from correlator.pollers.counter_layout import DISCONTINUITY, CounterTable, Interface, Layout, Part
from correlator.profiles.profile import Counter

AT = pd.Timestamp(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.mark.parametrize("name", sorted(frames.TABLES))
def test_columns_that_nobody_gives_are_null_in_the_houses_dtypes(name: str) -> None:
    table = Staying(name, 3, {}, ("at",)).table({"at": columns.times(AT, 3)})
    assert table.dtypes.equals(frames.empty(name).dtypes)
    assert (table["at"] == AT).all()
    assert table.drop(columns="at").isna().all(axis=None)
    assert_frame_equal(frames.validate(name, table), table)


def test_a_table_that_is_written_into_changes_no_other() -> None:
    numbers = Masked(np.arange(3), np.zeros(3, dtype=bool))
    staying = Staying("counters", 3, {"if_index": numbers}, ("at",))
    before, first = (staying.table({"at": columns.times(AT, 3)}) for _ in range(2))
    expected = before.copy(deep=True)
    for column in ("if_index", "out_octets", "errors_width_bits"):
        first.loc[1, column] = 77
    first["if_index"] += 1
    first.iloc[2, first.columns.get_loc("in_errors")] = 5
    first.loc[0, "if_name"] = "Ethernet1"
    first.index.name, first.columns.name = "row", "column"
    for table in (before, staying.table({"at": columns.times(AT, 3)})):
        assert_frame_equal(table, expected)
        assert table.index.name is table.columns.name is None
    assert first["out_errors"].isna().all()
    assert first["in_errors"].tolist()[2] == 5


def ways(draw: random.Random, objects: Sequence[str]) -> tuple[tuple[str, Counter, int], ...]:
    return tuple(
        (column, Counter(sum=tuple(draw.sample(objects, draw.randint(1, 2))), bits=64), draw.choice((32, 64)))
        for column in ("in_octets", "in_errors", "out_errors")
        if draw.random() < 0.8
    )


def a_layout(draw: random.Random) -> Layout:
    names = ("one", "two", "three", DISCONTINUITY)
    objects = tuple((name, (1, number)) for number, name in enumerate(names))
    return Layout(
        ((1,),),
        tuple(
            Interface(
                row + 1,
                f"Ethernet{row}",
                (2,),
                b"",
                objects[: draw.choice((3, 4))],
                (),
                ways(draw, names[:3]),
                (draw.choice((32, None)), 64),
            )
            for row in range(draw.randint(1, 4))
        ),
    )


def repeated(draw: random.Random, known: Layout) -> Layout:
    """Return a layout of the same make with its interfaces more often."""
    again = [replace(one, if_index=n + 1) for n, one in enumerate(known.interfaces * draw.randint(1, 3))]
    draw.shuffle(again)
    made = Layout(known.scalars, tuple(again))
    return made if made.make == known.make else known  # shuffled, other ways may come first


def plainly(known: Layout, name: str, part: Part, device: int) -> list[dict[str, object]]:
    """Return what the rows of one device must be, made value by value."""
    rows = []
    for row, one in enumerate(known.interfaces):
        first = len(known.scalars) + row * len(known.objects)
        said = {o: int(part.values[device, first + place]) for o, place in known.objects.items()}
        uptime = int(part.uptimes[device, row])
        rows.append(
            {
                "at": AT,
                "device": name,
                "if_index": one.if_index,
                "if_name": one.if_name,
                "uptime_cs": None if uptime < 0 else uptime,
                "discontinuity_cs": said[DISCONTINUITY] if len(one.objects) == 4 else None,
                "octets_width_bits": one.widths[0],
                "errors_width_bits": one.widths[1],
            }
            | {c: sum(said[o] for o in way.sum) % 2**64 % 2**bits for c, way, bits in one.ways}
        )
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_counters_are_what_adding_up_value_by_value_says(seed: int) -> None:
    draw, dice = random.Random(seed), np.random.default_rng(seed)
    layouts = [a_layout(draw) for _ in range(draw.randint(1, 3))]
    layouts = [like for one in layouts for like in (one, *(repeated(draw, one) for _ in range(seed % 3)))]
    devices = [
        (known, [f"leaf{n}{d}" for d in range(draw.randint(1, 20))]) for n, known in enumerate(layouts)
    ]
    made = CounterTable(devices)
    tables, plain = [], []
    for _ in range(2):
        parts = [
            Part(
                dice.integers(0, 2**64, (len(names), known.slots), np.uint64),
                dice.integers(-1, 3, (len(names), len(known.interfaces))),
            )
            for known, names in devices
        ]
        plain.append(
            [
                row
                for (known, names), part in zip(devices, parts, strict=True)
                for device, name in enumerate(names)
                for row in plainly(known, name, part, device)
            ]
        )
        tables.append(made.table(AT, parts))
        tables[-1].loc[0, "device"] = plain[-1][0]["device"] = f"round {len(tables)}"
        tables[-1].loc[0, "if_index"] = plain[-1][0]["if_index"] = len(tables)
        tables[-1].loc[0, "in_octets"] = plain[-1][0]["in_octets"] = 7
    for table, rows in zip(tables, plain, strict=True):
        assert_frame_equal(table, frames.frame("counters", rows))


def test_sets_of_switches_that_are_alike_have_their_own_names() -> None:
    known = a_layout(random.Random(1))
    parts = [Part(np.ones((2, known.slots), np.uint64), np.ones((2, len(known.interfaces)), np.int64))]
    one, other = CounterTable([(known, ["leaf1", "leaf2"])]), CounterTable([(known, ["leaf3", "leaf4"])])
    for made, names in ((one, ["leaf1", "leaf2"]), (other, ["leaf3", "leaf4"])):
        assert made.table(AT, parts)["device"].unique().tolist() == names
