"""One switch during one poll: its tables by object name, what they cost, and which of them failed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable

from correlator.profiles.profile import Profile, Table
from correlator.snmp.control import SnmpClient
from correlator.snmp.errors import NoAnswerError, SnmpError
from correlator.snmp.target import Index, Oid, Tally, Target, Value

log = logging.getLogger(__name__)

Row = dict[str, Value]
TableRows = dict[Index, Row]

MAX_SILENCES = 2  # so many tables without an answer in a row, and the device is held for gone


class Device:
    """Reads the tables that a profile names from one target.

    A table that fails is empty and leaves a remark. Raises NoAnswerError where the device has fallen
    silent. ``requests`` counts by table, ``tally`` in all, ``failed`` names the tables that could not
    be read, or not whole; ``resting`` those whose own period is not over, which are empty.
    """

    def __init__(self, client: SnmpClient, target: Target, profile: Profile, tally: Tally | None = None):
        self.profile = profile
        self.tally = tally or Tally()
        self.requests: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.failed: set[str] = set()
        self.resting: Collection[str] = ()
        self.sys_object_id: Oid = ()
        self._client, self._target = client, target
        self._silences = 0

    async def scalars(self, name: str) -> Row:
        """Return the scalars of a table by object name. Raises SnmpError: nothing goes without them."""
        scalars = self.profile.tables[name].scalars
        before = self.tally.requests
        try:
            values = await self._client.get(self._target, list(scalars.values()), self.tally)
        finally:
            self.requests[name] += self.tally.requests - before
        return {object_name: values[oid] for object_name, oid in scalars.items()}

    async def table(
        self,
        name: str,
        columns: Collection[str] | None = None,
        indexes: Iterable[Index] | None = None,
    ) -> TableRows:
        """Return a table's rows by index, then by object name; what is not there is absent.

        With ``columns`` only those; with ``indexes`` those rows are fetched, each in one message,
        instead of walking. The table's scalars come with each row.
        """
        if name in self.resting:
            return {}
        table = self.profile.tables[name]
        wanted = {n: oid for n, oid in table.columns.items() if columns is None or n in columns}
        return await self.read(name, wanted, table, indexes)

    async def read(
        self, name: str, columns: dict[str, Oid], table: Table, indexes: Iterable[Index] | None = None
    ) -> TableRows:
        """Return columns given by their OIDs, as ``table`` does; ``name`` is for counts and remarks."""
        before = self.tally.requests
        scalars = list(table.scalars.values())
        columns = {object_name: self.whole(oid) for object_name, oid in columns.items()}
        asked = self._target, list(columns.values())
        try:
            if indexes is None:
                result = await self._client.walk_columns(
                    *asked, scalars, table.max_rows, self.tally, table.timeout_s
                )
            else:
                result = await self._client.get_rows(*asked, indexes, scalars, self.tally, table.timeout_s)
        except SnmpError as error:
            self._failed(name, error)
            return {}
        finally:
            self.requests[name] += self.tally.requests - before
        self._silences = 0
        if result.why_incomplete:
            self.failed.add(name)
            self.remarks.append(f"table {name} is incomplete: {result.why_incomplete}")
        names = {oid: object_name for object_name, oid in (table.scalars | columns).items()}
        return {
            index: {names[oid]: value for oid, value in cells.items()} for index, cells in result.rows.items()
        }

    async def values(self, name: str, oids: Iterable[Oid]) -> dict[Oid, Value]:
        """Return the values of single objects; what is not there, or could not be read, is absent."""
        before = self.tally.requests
        try:
            result = await self._client.get_rows(self._target, [()], oids, (), self.tally)
        except SnmpError as error:
            self._failed(name, error)
            return {}
        finally:
            self.requests[name] += self.tally.requests - before
        self._silences = 0
        if result.why_incomplete:
            self.failed.add(name)
            self.remarks.append(f"table {name} is incomplete: {result.why_incomplete}")
        return {oid: row[()] for oid, row in result.rows.items()}

    async def answering(self, columns: Iterable[Oid]) -> frozenset[Oid]:
        """Return those of the columns that hold anything; none where that cannot be asked.

        Columns that count from sysObjectID are returned as they were given.
        """
        whole = {self.whole(oid): oid for oid in columns}
        before = self.tally.requests
        try:
            found = await self._client.answering(self._target, whole, self.tally)
        except SnmpError as error:
            self._failed("profile", error)
            return frozenset()
        finally:
            self.requests["profile"] += self.tally.requests - before
        return frozenset(whole[oid] for oid in found)

    def whole(self, oid: Oid) -> Oid:
        """Return an OID of a profile in full; a negative first number takes up so many of sysObjectID."""
        return oid if oid[0] >= 0 else self.sys_object_id[: -oid[0]] + oid[1:]

    def _failed(self, name: str, error: SnmpError) -> None:
        log.info("%s: table %s not read: %s", self._target, name, error)
        self.failed.add(name)
        self.remarks.append(f"table {name} was not read: {error}")
        self._silences = self._silences + 1 if isinstance(error, NoAnswerError) else 0
        if self._silences >= MAX_SILENCES:
            raise error
