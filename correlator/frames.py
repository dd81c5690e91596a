"""The tables of the house, written down once: columns, types, units, meanings, and the door to them.

Every table that crosses a room's border is a pandas DataFrame with the columns of its schema here:
missing values are null, times are UTC in microseconds, counters are unsigned 64-bit and never pass
through a float. ``docs/tables.md`` is generated from this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

AT = pa.timestamp("us", tz="UTC")
STRING, BOOL, FLOAT = pa.string(), pa.bool_(), pa.float64()
INT, U64 = pa.int64(), pa.uint64()
STRINGS, INTS = pa.list_(pa.string()), pa.list_(pa.int64())

DTYPES: dict[pa.DataType, Any] = {  # times become datetime64[us, UTC], floats float64 with NaN for null
    STRING: pd.StringDtype(na_value=float("nan")),
    BOOL: pd.BooleanDtype(),
    INT: pd.Int64Dtype(),
    U64: pd.UInt64Dtype(),
}


class FrameError(ValueError):
    """A table does not have the shape that ``frames`` writes down; the message names table and column."""


@dataclass(frozen=True)
class Table:
    """One table: its name, what a row is, which columns tell rows apart (besides ``at``), its schema."""

    name: str
    description: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema.names)


Column = tuple[str, pa.DataType, str]


def _table(name: str, description: str, key: tuple[str, ...], *columns: Column) -> Table:
    at: Column = ("at", AT, "when the row was measured; for an interval, its end")
    fields = [pa.field(column, kind, metadata={"description": text}) for column, kind, text in (at, *columns)]
    return Table(name, description, key, pa.schema(fields))


_DEVICE: Column = ("device", STRING, "the switch: its configured name, else its sysName")
_INTERFACE: tuple[Column, ...] = (
    _DEVICE,
    ("if_index", INT, "ifIndex: valid within one boot only"),
    ("if_name", STRING, "ifName, else ifDescr: the interface's lasting name"),
)
_HOST: Column = ("host", STRING, "the Docker host: configured agent.id, else Engine ID, else machine-id")


def _thresholds(side: str) -> tuple[Column, ...]:
    return tuple(
        (
            f"{side}_power_{level}_dbm",
            FLOAT,
            f"the module's own {level.replace('_', ' ')} level of {side} power, dBm",
        )
        for level in ("low_alarm", "low_warn", "high_warn", "high_alarm")
    )


def _both_ways(what: str, text: str) -> tuple[Column, ...]:
    return (
        (f"in_{what}", U64, f"{text} received"),
        (f"out_{what}", U64, f"{text} sent"),
    )


_HOURLY: tuple[Column, ...] = (
    ("hour", AT, "start of the hour that is summed up"),
    ("metric", STRING, "what was measured"),
    ("exposure", FLOAT, "what count is judged against: packets, segments or readings"),
    ("count", FLOAT, "number of events within the exposure"),
    ("sum", FLOAT, "sum of the values"),
    ("histogram", INTS, "counts by logarithmic bucket, mergeable by adding; null where there is none"),
)

_PLACE: tuple[Column, ...] = (
    ("if_index", INT, "ifIndex of the interface, null where not known"),
    ("if_name", STRING, "name of the interface, null where not known"),
)

_SUMMARY: tuple[Column, ...] = (
    ("kind", STRING, "link, class, host, service or unknown"),
    ("root_cause", STRING, "the cause"),
    ("probability", FLOAT, "how sure, 0 to 1"),
    ("severity", STRING, "crit, err, warning or notice"),
)
_VERDICT: Column = ("document", STRING, "the whole of it as JSON (docs/verdict.json)")
_EVENT: Column = ("document", STRING, "the whole event as JSON, its verdict (docs/verdict.json) within")

_TABLES = (
    _table(
        "polls",
        "One attempt to poll a target; that a poll failed is data.",
        ("target",),
        ("target", STRING, "the switch's or host's configured name or address"),
        ("kind", STRING, "switch or host"),
        ("ok", BOOL, "whether the target answered well enough to be used"),
        ("error", STRING, "one sentence, null where nothing went wrong"),
        ("duration_ms", FLOAT, "how long the attempt took, milliseconds"),
        ("requests", INT, "requests sent"),
        ("retries", INT, "requests sent again"),
        ("rows", INT, "rows that came out of it, over all tables"),
        ("gap_from", AT, "on the row that ends a gap: the last good poll, or interval, before it"),
    ),
    _table(
        "devices",
        "A switch, as it describes itself.",
        ("device",),
        _DEVICE,
        ("address", STRING, "address it was polled at"),
        ("sys_name", STRING, "sysName"),
        ("sys_object_id", STRING, "sysObjectID, dotted"),
        ("sys_descr", STRING, "sysDescr"),
        ("sys_location", STRING, "sysLocation"),
        ("site", STRING, "configured site"),
        ("rack", STRING, "configured rack"),
        ("chassis_id", STRING, "LLDP chassis id, normalised: MAC as aa:bb:cc:dd:ee:ff"),
        ("uptime_cs", U64, "sysUpTime, hundredths of a second"),
        ("boot_id", STRING, "changes with each restart"),
        ("profile", STRING, "the profile that was used"),
        ("forwarding", STRING, "cut_through, store_and_forward or null (configured)"),
        ("unread", STRING, "MIB tables that this poll could not read whole, by comma; null: not known"),
    ),
    _table(
        "interfaces",
        "An interface of a switch (RFC 2863).",
        ("device", "if_index", "if_name"),
        *_INTERFACE,
        ("if_descr", STRING, "ifDescr"),
        ("if_alias", STRING, "ifAlias: what the operator called it"),
        ("if_type", INT, "ifType (IANAifType): 6 Ethernet, 161 LAG"),
        ("admin_status", STRING, "up, down or testing"),
        ("oper_status", STRING, "up, down, testing, unknown, dormant, not_present or lower_layer_down"),
        ("speed_bps", U64, "speed, bit/s"),
        ("mac", STRING, "ifPhysAddress as aa:bb:cc:dd:ee:ff"),
        ("aggregate_if_name", STRING, "the LAG that it is a member of"),
        ("stp_state", STRING, "forwarding, blocking or null"),
        ("lldp_port_id", STRING, "what it calls itself by LLDP"),
    ),
    _table(
        "counters",
        "An interface's counters, cumulative as the device counts; null where it has none.",
        ("device", "if_index", "if_name"),
        *_INTERFACE,
        ("uptime_cs", U64, "sysUpTime when read, hundredths of a second"),
        ("discontinuity_cs", U64, "ifCounterDiscontinuityTime, hundredths of a second; 0 = never"),
        ("octets_width_bits", INT, "width of octet and packet counters: 32 or 64"),
        ("errors_width_bits", INT, "width of error and discard counters: 32 or 64"),
        *_both_ways("octets", "octets"),
        *_both_ways("packets", "good packets (unicast, multicast, broadcast)"),
        *_both_ways("errors", "packets in error"),
        *_both_ways("discards", "packets discarded though good"),
        ("fcs_errors", U64, "frames received with a bad check sequence"),
        ("alignment_errors", U64, "frames received that are no whole number of octets"),
        ("symbol_errors", U64, "invalid symbols received"),
        ("fec_corrected", U64, "codewords received and corrected"),
        ("fec_uncorrected", U64, "codewords received that could not be corrected"),
    ),
    _table(
        "optics",
        "Light at a port. One lane: all on lane 1. Several: lanes 1..n, the module as a whole on lane 0.",
        ("device", "if_index", "if_name", "lane"),
        *_INTERFACE,
        ("lane", INT, "lane within the transceiver, from 1; 0 = the module"),
        ("rx_power_dbm", FLOAT, "received power, dBm; null where there is no reading"),
        ("tx_power_dbm", FLOAT, "sent power, dBm; null where there is no reading"),
        ("bias_ma", FLOAT, "laser bias current, mA"),
        ("temperature_c", FLOAT, "temperature, degrees Celsius"),
        ("voltage_v", FLOAT, "supply voltage, V"),
        ("no_light", BOOL, "the device says that no light arrives; the power is null then"),
        ("pre_fec_ber", FLOAT, "bit error ratio before correction"),
        *_thresholds("rx"),
        *_thresholds("tx"),
        ("module_type", STRING, "type of the transceiver"),
        ("module_serial", STRING, "serial number of the transceiver"),
    ),
    _table(
        "neighbors",
        "What a port hears from the other end (LLDP, CDP); several where several are heard there.",
        ("device", "if_index", "if_name", "protocol", "remote_chassis_id", "remote_port_id"),
        *_INTERFACE,
        ("protocol", STRING, "lldp or cdp"),
        ("remote_chassis_id", STRING, "chassis id, normalised: MAC as aa:bb:cc:dd:ee:ff"),
        ("remote_port_id", STRING, "port id, normalised likewise"),
        ("remote_port_descr", STRING, "port description"),
        ("remote_sys_name", STRING, "system name"),
        ("remote_address", STRING, "management address"),
        (
            "remote_capabilities",
            STRINGS,
            "what it says it is: bridge, router, station, telephone, access_point, repeater, docsis",
        ),
    ),
    _table(
        "stations",
        "A MAC address that a bridge forwards to a port (BRIDGE-MIB, Q-BRIDGE-MIB).",
        ("device", "mac", "vlan"),
        _DEVICE,
        ("mac", STRING, "the station, aa:bb:cc:dd:ee:ff"),
        ("vlan", INT, "VLAN or FDB id, null where the bridge has one table"),
        *_PLACE,
    ),
    _table(
        "arp",
        "An IP address and the MAC address behind it, as a device resolved it.",
        ("device", "ip"),
        _DEVICE,
        ("ip", STRING, "IPv4 or IPv6 address"),
        ("mac", STRING, "aa:bb:cc:dd:ee:ff"),
        *_PLACE,
    ),
    _table(
        "routes",
        "A way that a switch takes to a network, by its route table; a row each next hop.",
        ("device", "prefix", "next_hop", "if_index"),
        _DEVICE,
        ("prefix", STRING, "the network, address/length"),
        ("next_hop", STRING, "address of the next hop, null where the network is connected or dropped"),
        *_PLACE,
    ),
    _table(
        "cables",
        "A cable that somebody configured.",
        ("a_device", "a_if_name"),
        ("a_device", STRING, "device at one end"),
        ("a_if_name", STRING, "interface at that end"),
        ("b_device", STRING, "device at the other end"),
        ("b_if_name", STRING, "interface at that end"),
        ("a_panel", STRING, "patch panel and position at the first end"),
        ("b_panel", STRING, "patch panel and position at the second end"),
    ),
    _table(
        "annotations",
        "What people (and the simulator, of its preloaded history) say about a thing.",
        ("subject", "kind"),
        ("subject", STRING, "link, device, site or table that is meant"),
        ("kind", STRING, "ack, silence, maintenance, cleaned, reseated, closed or preloaded"),
        ("by", STRING, "who said it"),
        ("until", AT, "until when it holds; null = once"),
        ("why", STRING, "the reason given"),
    ),
    _table(
        "hosts",
        "A Docker host's network interface, and what it hears by LLDP.",
        ("host", "nic"),
        _HOST,
        ("nic", STRING, "name of the network interface"),
        ("agent_id", STRING, "the agent's id"),
        ("engine_id", STRING, "the Docker Engine's ID"),
        ("machine_id", STRING, "the machine-id"),
        ("hostname", STRING, "host name; two hosts may share it"),
        ("addresses", STRINGS, "IP addresses of the interface"),
        ("mac", STRING, "aa:bb:cc:dd:ee:ff"),
        ("speed_bps", U64, "speed, bit/s"),
        ("bond", STRING, "the bond that it is a member of"),
        ("lldp_chassis_id", STRING, "chassis id of the switch that it hears"),
        ("lldp_port_id", STRING, "port id of the switch that it hears"),
        ("lldp_sys_name", STRING, "system name of the switch that it hears"),
    ),
    _table(
        "containers",
        "A container: one row when it starts, one more when it ends.",
        ("host", "container_id"),
        _HOST,
        ("container_id", STRING, "Docker's id"),
        ("name", STRING, "name"),
        ("image", STRING, "image"),
        ("service", STRING, "service (swarm or compose) that it belongs to"),
        ("network", STRING, "Docker network"),
        ("driver", STRING, "driver of that network: bridge, overlay, macvlan, host, ..."),
        ("address", STRING, "IP address within that network"),
        ("mac", STRING, "aa:bb:cc:dd:ee:ff"),
        ("netns", STRING, "network namespace"),
        ("published_ports", STRINGS, 'published as "host_port/protocol"'),
        ("started_at", AT, "start"),
        ("ended_at", AT, "end, null while it runs"),
    ),
    _table(
        "pair_samples",
        "One end's view of one container pair over one interval. Rows of one key add up.",
        (
            "host",
            "netns",
            "container_id",
            "role",
            "local_wire_address",
            "peer_wire_address",
            "server_port",
        ),
        _HOST,
        ("netns", STRING, "network namespace of this end"),
        ("container_id", STRING, "container of this end"),
        ("role", STRING, "client or server"),
        ("local_wire_address", STRING, "this end's address as it is on the wire, after NAT"),
        ("peer_wire_address", STRING, "the other end's address as it is on the wire"),
        ("server_port", INT, "port of the server"),
        ("interval_s", FLOAT, "length of the interval, seconds"),
        ("complete", BOOL, "whether nothing was missed"),
        ("why_incomplete", STRING, "what was missed"),
        ("peer_host", STRING, "host of the other end; filled by the service"),
        ("peer_container_id", STRING, "container of the other end; filled by the service"),
        ("connections_open", INT, "connections open at the end of the interval"),
        ("connections_new", INT, "connections opened in it"),
        ("connections_closed", INT, "connections closed in it"),
        ("bytes_sent", U64, "bytes sent for the first time"),
        ("bytes_received", U64, "bytes received"),
        ("data_segments_sent", U64, "segments with data sent, resent ones included"),
        ("data_segments_received", U64, "segments with data received"),
        ("retransmitted_segments", U64, "segments sent again"),
        ("retransmitted_bytes", U64, "bytes sent again"),
        ("dsack", U64, "segments that the peer says it had twice"),
        ("rto_count", U64, "retransmission time-outs"),
        ("min_rtt_us", FLOAT, "smallest round-trip time in the interval, microseconds"),
        ("srtt_us", FLOAT, "smoothed RTT; contaminated by response times, never a verdict's ground"),
        ("exchanges", U64, "requests answered"),
        ("response_ms_sum", FLOAT, "client rows: time to a response, summed over response_ms_count"),
        ("response_ms_count", U64, "client rows: responses that were timed"),
        ("service_ms_sum", FLOAT, "server rows: time in the service, summed over service_ms_count"),
        ("service_ms_count", U64, "server rows: requests that were timed"),
        ("response_histogram", INTS, "responses by bucket: edges 0.1 * 2^k ms, k = 0..15, and one open"),
        ("max_stall_ms", FLOAT, "longest wait for an acknowledgement, milliseconds"),
        ("method", STRING, "how times were measured: difference, closed_loop, capture or none"),
        ("source_ports", INTS, "client ports, at most 32"),
    ),
    _table(
        "traces",
        "A path that was really followed, one direction.",
        (
            "host",
            "protocol",
            "source_address",
            "source_port",
            "destination_address",
            "destination_port",
        ),
        _HOST,
        ("protocol", STRING, "tcp or udp"),
        ("source_address", STRING, "source address"),
        ("source_port", INT, "source port"),
        ("destination_address", STRING, "destination address"),
        ("destination_port", INT, "destination port"),
        ("hops", STRINGS, '"device if_name" of each ingress interface, in order'),
    ),
    _table(
        "link_hours",
        "An hour of one interface, by metric. errors: exposure = in_packets + in_errors, count = in_errors. "
        "discards: exposure = out_packets + out_discards, count = out_discards. utilisation_in, "
        "utilisation_out: exposure = count = readings, sum = sum of utilisation (0 to 1).",
        ("device", "if_name", "hour", "metric"),
        _DEVICE,
        ("if_name", STRING, "the interface"),
        *_HOURLY,
    ),
    _table(
        "optics_hours",
        "An hour of one lane, by metric: rx_power_dbm, tx_power_dbm, bias_ma, temperature_c; "
        "exposure = count = readings with a value, sum = sum of the values. rx_power_squared, "
        "tx_power_squared: the same of the squares of the powers (dBm²).",
        ("device", "if_name", "lane", "hour", "metric"),
        _DEVICE,
        ("if_name", STRING, "the interface"),
        ("lane", INT, "the lane"),
        *_HOURLY,
    ),
    _table(
        "pair_hours",
        "An hour of one pair of services between two hosts, by metric. retransmissions, rto: exposure = data "
        "segments sent by both ends. stalls: exposure = intervals of either end, count = those with one of "
        "200 ms and more. response_ms, service_ms: exposure = count = timed responses, sum in ms; "
        "response_ms carries the histogram. min_rtt_us: exposure = count = samples. exchanges, connections: "
        "exposure = seconds of the client's intervals.",
        ("src_host", "dst_host", "src_service", "dst_service", "hour", "metric"),
        ("src_host", STRING, "host of the client"),
        ("dst_host", STRING, "host of the server"),
        ("src_service", STRING, "service of the client, else its container name"),
        ("dst_service", STRING, "service of the server, else its container name"),
        *_HOURLY,
    ),
    _table(
        "verdicts",
        "What a cycle concluded about slow pairs.",
        ("id",),
        ("id", STRING, "id"),
        *_SUMMARY,
        _VERDICT,
    ),
    _table(
        "findings",
        "Sick things that explain no slow pair.",
        ("id",),
        ("id", STRING, "id"),
        *_SUMMARY,
        _VERDICT,
    ),
    _table(
        "incident_events",
        "What happened to incidents, as it was alerted.",
        ("incident", "seq"),
        ("incident", STRING, "the incident"),
        ("seq", INT, "number of the event within the incident, from 1"),
        ("event", STRING, "opened, updated or cleared"),
        *_SUMMARY,
        _EVENT,
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in _TABLES}


def empty(name: str) -> pd.DataFrame:
    """Return the named table without rows."""
    return frame(name, ())


def frame(name: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as the named table: missing columns become null.

    Raises FrameError for an unknown table, an unknown column or a value that does not fit.
    """
    schema = _schema(name)
    records = list(rows)
    known = set(schema.names)
    unknown = sorted({str(key) for record in records for key in record} - known)
    if unknown:
        raise FrameError(f"{name}: unknown columns {', '.join(unknown)}")
    try:
        arrow = pa.Table.from_pylist(records, schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"{name}: {error}") from error
    return from_arrow(name, arrow)


def to_arrow(name: str, table: pd.DataFrame) -> pa.Table:
    """Return a DataFrame as Arrow with exactly the named schema: the validating door.

    Absent columns become null; extra columns, a null ``at``, naive times and values that do not fit
    raise FrameError.
    """
    schema = _schema(name)
    extra = sorted(set(map(str, table.columns)) - set(schema.names))
    if extra:
        raise FrameError(f"{name}: unknown columns {', '.join(extra)}")
    arrays = []
    for field in schema:
        if field.name not in table.columns:
            arrays.append(pa.nulls(len(table), field.type))
            continue
        values = table[field.name]
        if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
            raise FrameError(f"{name}.{field.name}: times without a time zone; give them in UTC")
        try:
            arrays.append(pa.array(values, type=field.type, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise FrameError(f"{name}.{field.name}: {error}") from error
    arrow = pa.Table.from_arrays([_whole(array) for array in arrays], schema=schema)
    if arrow.column("at").null_count:
        raise FrameError(f"{name}.at: null in {arrow.column('at').null_count} rows")
    return arrow


def from_arrow(name: str, arrow: pa.Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame with the named table's columns and the house's dtypes.

    Columns that the schema does not know are dropped, those that are absent become null, so that
    older files stay readable. Of ``columns`` only these are made, in their order. Raises FrameError
    where a column cannot be read as its type.
    """
    schema = _schema(name)
    if columns is not None:
        schema = pa.schema([schema.field(column) for column in columns])
    whole = pa.Table.from_arrays([_column(name, arrow, field) for field in schema], schema=schema)
    table: pd.DataFrame = whole.to_pandas(types_mapper=DTYPES.get, use_threads=False)
    for field in schema:
        if pa.types.is_list(field.type):  # lists, not the arrays that Arrow makes of them
            table[field.name] = pd.Series(whole.column(field.name).to_pylist(), dtype=object)
    return table


def validate(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the house's columns and dtypes. Raises FrameError as ``to_arrow`` does."""
    return from_arrow(name, to_arrow(name, table))


def _column(name: str, arrow: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """Return a field's column as its type; null where the table has none."""
    if field.name not in arrow.column_names:
        return pa.nulls(arrow.num_rows, field.type)
    values = arrow.column(field.name)
    if values.type == field.type:
        return values
    try:
        return values.cast(field.type)
    except pa.ArrowException as error:
        raise FrameError(f"{name}.{field.name}: {error}") from error


def _schema(name: str) -> pa.Schema:
    try:
        return TABLES[name].schema
    except KeyError:
        raise FrameError(f"there is no table {name!r}; known: {', '.join(TABLES)}") from None


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
