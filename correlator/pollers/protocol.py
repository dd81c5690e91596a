"""The host agent's protocol, version 1: what a page of rows looks like, and the refusal of all else.

``GET /v1/batches?epoch=E&after=SEQ&limit=N`` answers JSON Lines, zstd-compressed: a header, then rows
in order of ``seq``, which counts from 1 within an epoch. The agent is not trusted: every page is
bounded, and one that does not hold together is refused whole, so that nothing of it is half read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import pandas as pd
import pyarrow as pa
import zstandard
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from correlator import frames
from correlator.model import utc

SCHEMA = "correlator-agent/1"
CONTENT_TYPE = "application/x-ndjson"
TABLES = ("hosts", "containers", "pair_samples", "traces")
BIGGEST_SEQ = 2**53  # what any JSON reader keeps exact
MAX_WINDOW_BYTES = 2**23  # RFC 8878 asks decoders for 8 MiB


class ProtocolError(ValueError):
    """An answer is not of the protocol; the message says in a few words what is wrong with it."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=_Closed)


class Header(_Closed):
    """First line of a page: whose rows these are, and where they stand in their stream."""

    schema_: Literal["correlator-agent/1"] = Field(alias="schema", description="name of this protocol")
    agent: str = Field(min_length=1, max_length=256, description="the agent's id: column host of its rows")
    boot_id: str = Field(max_length=256, description="changes with each start of the host")
    epoch: str = Field(min_length=1, max_length=256, description="the stream that seq counts in")
    first_seq: int = Field(
        ge=1, le=BIGGEST_SEQ, description="seq of the first row; next_seq if there is none"
    )
    next_seq: int = Field(
        ge=1, le=BIGGEST_SEQ, description="seq of the last row + 1; after + 1 if there is none"
    )
    dropped: int = Field(ge=0, le=BIGGEST_SEQ, description="rows behind `after` that were pruned unread")

    @property
    def source(self) -> str:
        """The stream that the rows are of, for the store."""
        return f"{self.agent}/{self.epoch}"


class Line(_Closed):
    """A row of a table; its columns are those of ``frames``, times ISO 8601, what is absent null."""

    seq: int = Field(ge=1, le=BIGGEST_SEQ)
    table: Literal["hosts", "containers", "pair_samples", "traces"]
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that holds together: its header, its rows by table (not yet frames).

    ``is_cut``: the answer went on behind the end that was asked for; header and rows do not.
    """

    header: Header
    rows: Mapping[str, list[dict[str, Any]]]
    is_cut: bool = False

    @property
    def count(self) -> int:
        """How many rows it holds."""
        return self.header.next_seq - self.header.first_seq


def unpack(body: bytes, most_bytes: int) -> bytes:
    """Return a zstd body unpacked. Raises ProtocolError where it is none or grows beyond the bound."""
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(io.BytesIO(body))
    try:
        unpacked = reader.read(most_bytes + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise ProtocolError(f"its body is not zstd ({error})") from None
    if len(unpacked) > most_bytes:
        raise ProtocolError(f"its body is larger than {most_bytes // 2**20} MiB unpacked")
    return bytes(unpacked)


def parse(text: bytes, epoch: str | None, after: int, ends: Mapping[str, int] | None = None) -> Page:
    """Return the page in ``text``, asked for behind ``after`` of ``epoch``. Raises ProtocolError.

    ``ends`` gives, by source (``Header.source``), the row at which a page is to end that would go
    beyond it.
    """
    lines = text.splitlines()
    if not lines:
        raise ProtocolError("its body is empty")
    header = _checked(Header, lines[0], 1)
    rows: dict[str, list[dict[str, Any]]] = {}
    expected = header.first_seq
    if header.epoch == epoch and header.first_seq <= after:
        raise ProtocolError(f"rows behind {after} were asked for and those from {header.first_seq} came")
    end = (ends or {}).get(header.source, 0)
    end = end if header.first_seq <= end < header.next_seq - 1 else header.next_seq - 1
    for number, raw in enumerate(lines[1:], start=2):
        line = _checked(Line, raw, number)
        if line.seq != expected:
            raise ProtocolError(f"line {number} has seq {line.seq} where {expected} is due")
        if line.row.get("host") != header.agent:
            raise ProtocolError(f"line {number} is of host {line.row.get('host')!r}, not {header.agent!r}")
        if line.seq <= end:
            rows.setdefault(line.table, []).append(line.row)
        expected += 1
    if expected != header.next_seq:
        raise ProtocolError(f"it ends before seq {header.next_seq - 1}, which its header promises")
    is_cut = end + 1 < header.next_seq
    return Page(header.model_copy(update={"next_seq": end + 1}), rows, is_cut)


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as the named table. Raises ProtocolError for columns or values that do not fit it."""
    times = [field.name for field in frames.TABLES[name].schema if field.type == frames.AT]
    try:
        made = frames.frame(name, [{**row, **_times(row, times)} for row in rows])
    except (frames.FrameError, ValueError, TypeError) as error:
        raise ProtocolError(f"a row does not fit its table ({error})") from None
    if made["at"].isna().any():
        raise ProtocolError(f"a row does not fit its table ({name} without a time)")
    return made


def agent_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of an answer: the header, or a row of one of the tables."""
    rows = [
        {
            "type": "object",
            "title": name,
            "description": frames.TABLES[name].description,
            "properties": {
                "seq": Line.model_json_schema()["properties"]["seq"],
                "table": {"const": name},
                "row": _row_schema(frames.TABLES[name]),
            },
            "required": ["seq", "table", "row"],
            "additionalProperties": False,
        }
        for name in TABLES
    ]
    header = Header.model_json_schema() | {"title": "header"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "One line of an answer to GET /v1/batches: the first is the header, the others rows.",
        "oneOf": [header, *rows],
    }


def _checked(model: type[Model], raw: bytes, number: int) -> Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ProtocolError(f"line {number}: {place + ': ' if place else ''}{first['msg']}") from None


def _times(row: Mapping[str, Any], columns: Iterable[str]) -> dict[str, datetime]:
    """Return the time columns of a row as times. Raises ValueError for one without a zone."""
    return {name: utc(datetime.fromisoformat(row[name])) for name in columns if row.get(name) is not None}


_JSON_TYPES: Mapping[pa.DataType, dict[str, Any]] = {
    frames.AT: {"type": "string", "format": "date-time"},
    frames.STRING: {"type": "string"},
    frames.BOOL: {"type": "boolean"},
    frames.FLOAT: {"type": "number"},
    frames.INT: {"type": "integer"},
    frames.U64: {"type": "integer", "minimum": 0},
    frames.STRINGS: {"type": "array", "items": {"type": "string"}},
    frames.INTS: {"type": "array", "items": {"type": "integer"}},
}


def _row_schema(shape: frames.Table) -> dict[str, Any]:
    required = ["at", "host"]
    properties = {
        field.name: {
            "description": field.metadata[b"description"].decode(),
            **_JSON_TYPES[field.type],
            **({} if field.name in required else {"type": [_JSON_TYPES[field.type]["type"], "null"]}),
        }
        for field in shape.schema
    }
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
