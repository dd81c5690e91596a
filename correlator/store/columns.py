"""The stored form of a table: Delta Lake has no unsigned type, so counters are kept as their bit pattern."""

from __future__ import annotations

import functools

import pyarrow as pa

from correlator import frames

DAY = pa.field("day", pa.date32(), metadata={"description": "UTC date of at: the partition"})


@functools.cache
def stored_schema(name: str) -> pa.Schema:
    """Return the schema of the named table's data files: that of ``frames`` with int64 for uint64.

    Columns keep their descriptions; ``unsigned`` in a column's metadata tells other readers that its
    64 bits are an unsigned number.
    """
    return pa.schema([_stored_field(field) for field in frames.TABLES[name].schema])


@functools.cache
def table_schema(name: str) -> pa.Schema:
    """Return the schema of the Delta table itself: ``stored_schema`` and the partition column ``day``."""
    return stored_schema(name).append(DAY)


def to_stored(name: str, table: pa.Table) -> pa.Table:
    """Return a house table as it is written: every uint64 column as the int64 of the same bits."""
    return _viewed(table.select(stored_schema(name).names), stored_schema(name))


def from_stored(name: str, table: pa.Table) -> pa.Table:
    """Return stored columns as the house's: the exact inverse of ``to_stored``."""
    schema = frames.TABLES[name].schema
    return _viewed(table, pa.schema([schema.field(column) for column in table.column_names]))


def _stored_field(field: pa.Field) -> pa.Field:
    if field.type != frames.U64:
        return field
    return pa.field(field.name, frames.INT, metadata={**(field.metadata or {}), "unsigned": "true"})


def _viewed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [_view(table.column(field.name), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _view(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_integer(column.type) and pa.types.is_integer(kind):
        # A cast would refuse what does not fit; the bits always do.
        return pa.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)
    return column.cast(kind)
