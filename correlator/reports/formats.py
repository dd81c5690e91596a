"""The report in other forms: Markdown for a chat or a ticket, CSV for a spreadsheet, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence

from correlator.reports import sentences
from correlator.reports.content import Content, WorkOrder
from correlator.reports.words import (
    Clock,
    clean,
    count,
    decimals,
    end_name,
    name,
    percent,
    rare,
    significant,
    slower,
)

COLUMNS = ("section", "what", "where", "quantity", "value", "unit")
Row = tuple[str, str, str, str, float | None, str]

_MARKS = re.compile(r"([\\`*_{}\[\]<>#+|~!&])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(content: Content) -> str:
    """Return the content as one JSON document, as ``content.from_json`` reads it."""
    return json.dumps(content.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(content: Content) -> str:
    """Return every number of the lists as a row of its own: section, what, where, quantity, value, unit.

    Names that a spreadsheet would take for a formula are quoted with an apostrophe.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(content):
        writer.writerow(["" if cell is None else _plain(cell) for cell in row])
    return file.getvalue()


def _plain(cell: str | float) -> str | float:
    if not isinstance(cell, str):
        return cell
    said = clean(cell, 300)
    return f"'{said}" if said.startswith(_FORMULA) else said


def _rows(content: Content) -> Iterator[Row]:
    for order in content.orders:
        yield from _order_rows(order)
    for pair in content.pairs:
        what, where = f"{pair.impact.src_name} → {pair.impact.dst_name}", f"order {pair.order}"
        yield "pairs", what, where, "slower by", pair.impact.slower_by, "ratio"
        for when, talk in (("before", pair.before), ("now", pair.now)):
            if talk is not None:
                yield "pairs", what, where, f"response {when}", talk.response_ms, "ms"
                yield "pairs", what, where, f"network {when}", talk.network_ms, "ms"
                yield "pairs", what, where, f"service {when}", talk.service_ms, "ms"
    for row in content.heat.rows:
        for hour, errors, packets in zip(content.heat.hours, row.errors, row.packets, strict=True):
            where = hour.isoformat()
            yield "links", str(row.receiver), where, "damaged packets", errors, "packets"
            yield "links", str(row.receiver), where, "packets", packets, "packets"
    for margin in content.margins:
        where = f"lane {margin.lane}"
        yield "light", str(margin.receiver), where, "received", margin.rx_dbm, "dBm"
        yield "light", str(margin.receiver), where, "margin", margin.margin_db, "dB"
    for talked in content.chattiness.most_exchanges:
        what, where = f"{talked.client} → {talked.server}", f"{talked.src_host} → {talked.dst_host}"
        yield "chattiness", what, where, "exchanges", talked.exchanges_per_s, "1/s"
        yield "chattiness", what, where, "response", talked.response_ms, "ms"
    for blind in content.blind:
        yield "not seen", blind.kind, "", "how many", blind.total, ""


def _order_rows(order: WorkOrder) -> Iterator[Row]:
    what, where = sentences.title(order.fault), f"order {order.number}"
    yield "orders", what, where, "probability", order.fault.verdict.probability, "share"
    yield "orders", what, where, "hurt pairs", order.gain.pairs, "pairs"
    for rate in order.rates:
        for when, share in (("before", rate.before), ("now", rate.now)):
            if share is not None:
                yield "orders", what, str(rate.end), f"{rate.counted} {when}", share.count, "packets"
                yield "orders", what, str(rate.end), f"of packets {when}", share.exposure, "packets"


def as_markdown(content: Content) -> str:
    """Return the report as Markdown: the words and lists of the page, without its pictures."""
    clock = Clock(content.period.timezone)
    lines = [
        f"# {_marked(sentences.headline(content))}",
        "",
        f"{content.period.day.isoformat()} ({content.period.timezone}, {content.period.hours} h), "
        f"written {clock.when(content.period.now)}, Correlator {content.version}"
        + (f", configuration {content.digest}" if content.digest else ""),
        *_orders_in_words(content.orders, clock),
        *_repairs_in_words(content, clock),
        *_tables(content),
        *_blind_in_words(content, clock),
    ]
    return "\n".join(lines) + "\n"


def _tables(content: Content) -> list[str]:
    """Return the lists of the page: pairs, links by errors and by light, chattiness."""
    return [
        *_table(
            "Slow pairs",
            ("Client → server", "Slower by", "Network ms", "Service ms", "Order"),
            [
                (
                    f"{name(pair.impact.src_name)} → {name(pair.impact.dst_name)}",
                    slower(pair.impact.slower_by),
                    significant(pair.now.network_ms if pair.now else None),
                    significant(pair.now.service_ms if pair.now else None),
                    str(pair.order),
                )
                for pair in content.pairs
            ],
        ),
        *_table(
            "Links with damaged packets",
            ("Received at", "Damaged", "Of packets", "Share"),
            [
                (
                    end_name(row.receiver),
                    count(row.total.count),
                    count(row.total.exposure),
                    rare(row.total.ratio),
                )
                for row in content.heat.rows
                if row.total.count
            ],
        ),
        *_table(
            "Light: nearest to the limit",
            ("Received at", "Rx dBm", "Margin dB"),
            [
                (end_name(one.receiver), decimals(one.rx_dbm), decimals(one.margin_db))
                for one in content.margins
            ],
        ),
        *_table(
            "Most exchanges",
            ("Client → server", "Exchanges /s", "Response ms", "Network ms", "Service ms"),
            [
                (
                    f"{name(one.client)} → {name(one.server)}",
                    significant(one.exchanges_per_s),
                    significant(one.response_ms),
                    significant(one.network_ms),
                    significant(one.service_ms),
                )
                for one in content.chattiness.most_exchanges
            ],
        ),
    ]


def _marked(text: str) -> str:
    """Return text in which nothing is a mark of Markdown or HTML."""
    return _MARKS.sub(r"\\\1", clean(text, 600))


def _orders_in_words(orders: Sequence[WorkOrder], clock: Clock) -> Iterator[str]:
    for order in orders:
        verdict = order.fault.verdict
        yield from ("", f"## Order {order.number}: {_marked(sentences.title(order.fault))}", "")
        since = f"since {clock.when(verdict.onset)}, " if verdict.onset else ""
        state = f", cleared {clock.when(order.fault.cleared_at)}" if order.fault.cleared_at else ""
        seen = f"last seen {clock.when(order.fault.last_seen)}"
        sure = "" if verdict.kind == "unknown" else f"{percent(verdict.probability)} sure, "
        yield sentences.capital(f"{sure}{since}{seen}{state}.")
        yield ""
        for number, step in enumerate(order.steps, start=1):
            place = f" (rack {_marked(step.place.rack)})" if step.place and step.place.rack else ""
            panel = f" (panel {_marked(step.panel)})" if step.panel else ""
            note = f": {_marked(step.action.text)}" if step.action.text else ""
            yield f"{number}. {_marked(sentences.capital(sentences.deed(step.action)))}{place}{panel}{note}"
        yield ""
        for evidence in verdict.evidence:
            yield f"- {_marked(evidence.text)}"
        if verdict.kind != "unknown":
            yield from ("", _marked(sentences.gain_sentence(order.gain)))
        if further := sentences.if_not_helped(order):
            yield from ("", f"If it does not help: {_marked(further)}")


def _repairs_in_words(content: Content, clock: Clock) -> Iterator[str]:
    if content.repairs:
        yield from ("", "## Repaired", "")
    for repair in content.repairs:
        state = sentences.MENDINGS[repair.mending]
        yield f"- {state}: {_marked(repair.subject)}, {clock.when(repair.at)}: {_marked(repair.proof)}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", f"## {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
    for row in rows:
        yield f"| {' | '.join(_marked(cell) for cell in row)} |"


def _blind_in_words(content: Content, clock: Clock) -> Iterator[str]:
    yield from ("", "## What could not be seen", "")
    if not content.blind:
        yield "No gap is known: every target answered all day."
    for blind in content.blind:
        yield f"- {sentences.BLIND_SPOTS[blind.kind]} ({count(blind.total)})"
        for spot in blind.spots[:8]:
            when = (
                f", {clock.when(spot.since)} to {clock.when(spot.until)}" if spot.since and spot.until else ""
            )
            yield f"  - {_marked(spot.subject)}: {_marked(spot.text)}{when}"
