"""Reading many values without the network in the way: what to ask next, what an answer means.

GETBULK (RFC 3416, section 4.2.3) may be cut anywhere: rows that came whole are kept, and the walk goes
on behind the last of them. Columns may have holes, so each has a place of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from correlator.snmp.target import Index, Oid, Value, dotted

Varbind = tuple[Oid, Value]

FIRST_VARBINDS = 10  # asked of a table that may be empty


@dataclass(slots=True)
class Rows:
    """Rows of a table: by index, then by column (or scalar that came in the same message).

    ``why_incomplete`` is null where everything was read, else a few words.
    """

    rows: dict[Index, dict[Oid, Value]] = field(default_factory=dict)
    why_incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """One GET request."""

    oids: tuple[Oid, ...]

    @property
    def varbinds(self) -> int:
        """How many varbinds an answer holds."""
        return len(self.oids)


@dataclass(frozen=True, slots=True)
class Bulk:
    """One GETBULK request: scalars (non-repeaters) first, then a place in each column."""

    oids: tuple[Oid, ...]
    non_repeaters: int
    max_repetitions: int
    columns: tuple[Oid, ...]

    @property
    def varbinds(self) -> int:
        """How many varbinds a full answer holds."""
        return self.non_repeaters + self.max_repetitions * len(self.columns)


class Walk:
    """A walk in progress: ``request`` says what to ask next, ``take`` reads the answer.

    ``scalars`` (whole instances, ``….0``) come along in every message and are put into each row under
    their OID, so that a row knows, say, the sysUpTime that its counters belong to. ``expected`` is how
    many rows there were the last time: not much more than these is asked for, as whatever lies behind
    the table costs the device as much as the table does.
    """

    def __init__(
        self, columns: Iterable[Oid], scalars: Iterable[Oid], max_rows: int, expected: int | None = None
    ) -> None:
        self.result = Rows()
        self._expected, self._asked = expected, 0
        self._places: dict[Oid, Oid] = {column: column for column in columns}
        self._scalars = tuple(scalars)
        self._max_rows = max_rows

    @property
    def over(self) -> bool:
        """Whether every column was read to its end, or given up."""
        return not self._places

    def request(self, varbinds: int, most: int) -> Bulk:
        """Return the next request: whole rows that make about ``varbinds``, at least one row.

        Only where not even one row fits into ``most`` are columns left for the next request: those
        that have come furthest.
        """
        scalars = self._scalars
        columns = sorted(self._places, key=lambda column: self._places[column][len(column) :])
        columns = columns[: max(1, most - len(scalars))]
        starts = *(scalar[:-1] for scalar in scalars), *(self._places[column] for column in columns)
        fitting = max(1, (varbinds - len(scalars)) // len(columns))
        self._asked = min(fitting, self._wanted(len(columns)))
        return Bulk(starts, len(scalars), self._asked, tuple(columns))

    def take(self, asked: Bulk, varbinds: Sequence[Varbind]) -> bool:
        """Read an answer; return False where it holds nothing that brings the walk on."""
        scalars = {
            scalar: value
            for scalar, (oid, value) in zip(self._scalars, varbinds, strict=False)
            if oid == scalar
        }
        cells = varbinds[asked.non_repeaters :]
        width = len(asked.columns)
        whole = len(cells) // width * width
        cells = cells[: whole or len(cells)]  # not even one row: take what there is
        for place, (oid, value) in enumerate(cells):
            self._cell(asked.columns[place % width], oid, value, scalars)
        return bool(cells)

    def refused(self, asked: Bulk, error_index: int, status: str) -> None:
        """Give up the column that an error status is about; all of the request where it names none.

        An empty status is a plain end: there is nothing more.
        """
        place = error_index - 1 - asked.non_repeaters
        named = asked.columns[place : place + 1] if place >= 0 else ()
        for column in named or asked.columns:
            if status:
                self._stop(column, f"{dotted(column)}: {status}")
            else:
                self._places.pop(column, None)

    def _wanted(self, columns: int) -> int:
        """Return how many rows are worth asking for: what is expected and one, else ever more."""
        got = len(self.result.rows)
        if self._expected is not None and got <= self._expected:
            return self._expected - got + 1
        return self._asked * 2 or max(1, FIRST_VARBINDS // columns)

    def _cell(self, column: Oid, oid: Oid, value: Value, scalars: dict[Oid, Value]) -> None:
        if column not in self._places:
            return
        if value is None or oid[: len(column)] != column or len(oid) == len(column):
            del self._places[column]
        elif oid <= self._places[column]:
            self._stop(column, f"{dotted(oid)} does not come after {dotted(self._places[column])}")
        elif oid[len(column) :] not in self.result.rows and len(self.result.rows) >= self._max_rows:
            self._stop(column, f"more than {self._max_rows} rows")
        else:
            self._places[column] = oid
            row = self.result.rows.setdefault(oid[len(column) :], dict(scalars))
            row[column] = value

    def _stop(self, column: Oid, why: str) -> None:
        self._places.pop(column, None)
        self.result.why_incomplete = why


class Fetch:
    """GETs of known rows in progress: a row's columns and the scalars share one message.

    Rows that answered nothing are absent from the result.
    """

    def __init__(self, columns: Iterable[Oid], indexes: Iterable[Index], scalars: Iterable[Oid]) -> None:
        self.result = Rows()
        self._scalars = tuple(scalars)
        columns = tuple(columns)
        self._width = max(1, len(columns))
        self._waiting = [(column, index) for index in indexes for column in columns][::-1]

    @property
    def over(self) -> bool:
        """Whether every value was asked for."""
        return not self._waiting

    def request(self, varbinds: int, most: int) -> Get:
        """Return the next request: whole rows that make about ``varbinds``, at least one row.

        Only where not even one row fits into ``most`` is a row asked for in parts.
        """
        scalars = len(self._scalars)
        begun = len(self._waiting) % self._width or self._width  # what is left of the first row
        further = max(0, min(varbinds, most) - scalars - begun) // self._width
        count = min(begun + further * self._width, max(1, most - scalars))
        cells = self._waiting[: -count - 1 : -1]
        return Get((*self._scalars, *(column + index for column, index in cells)))

    def take(self, asked: Get, varbinds: Sequence[Varbind]) -> bool:
        """Read an answer; return False where it is not an answer to ``asked``."""
        if tuple(oid for oid, _ in varbinds) != asked.oids:
            return False
        width = len(self._scalars)
        scalars = dict(varbinds[:width])
        for _, value in varbinds[width:]:
            column, index = self._waiting.pop()
            if value is not None:
                self.result.rows.setdefault(index, dict(scalars))[column] = value
        return True

    def refused(self, asked: Get, error_index: int, status: str) -> None:
        """Leave out the value that an error status is about; all of the request where it names none."""
        named = asked.oids[error_index - 1 : error_index] if error_index > 0 else ()
        oids = named or asked.oids
        self._scalars = tuple(scalar for scalar in self._scalars if scalar not in oids)
        self._waiting = [cell for cell in self._waiting if cell[0] + cell[1] not in oids]
        if status:
            self.result.why_incomplete = f"{dotted(oids[0])}: {status}"


class Probe:
    """A look at which columns hold anything at all, in progress: one GETNEXT step into each of them.

    ``found`` are those that do. Columns are asked in order of their OIDs: where version 1 says that there
    is nothing behind one of them, there is nothing behind the later ones either.
    """

    def __init__(self, columns: Iterable[Oid]) -> None:
        self.result = Rows()
        self.found: set[Oid] = set()
        self._waiting = tuple(sorted(set(columns)))

    @property
    def over(self) -> bool:
        """Whether every column was asked for."""
        return not self._waiting

    def request(self, varbinds: int, most: int) -> Bulk:
        """Return the next request."""
        columns = self._waiting[: max(1, min(varbinds, most))]
        return Bulk(columns, 0, 1, columns)

    def take(self, asked: Bulk, varbinds: Sequence[Varbind]) -> bool:
        """Read an answer, which may be cut; return False where it is empty."""
        told = list(zip(asked.columns, varbinds, strict=False))
        for column, (oid, value) in told:
            if value is not None and oid[: len(column)] == column and len(oid) > len(column):
                self.found.add(column)
        self._waiting = self._waiting[len(told) :]
        return bool(told)

    def refused(self, asked: Bulk, error_index: int, status: str) -> None:
        """Leave out the column that an error status is about; all of the request where it names none."""
        named = asked.columns[error_index - 1 : error_index] if error_index > 0 else asked.columns
        behind = min(named, default=()) if not status else None
        self._waiting = tuple(
            column for column in self._waiting if column not in named and (behind is None or column < behind)
        )
