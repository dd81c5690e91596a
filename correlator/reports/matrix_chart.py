"""The picture of who waits for whom: slow pairs of all pairs, and a letter for whom they wait."""

from __future__ import annotations

from markupsafe import Markup

from correlator.reports import svg
from correlator.reports.overview import Matrix, ServiceCell, Waits
from correlator.reports.words import many, name

LEFT = 170.0
CELL, ROW = 76.0, 34.0
MOST_NAME = 16
RISE = 4.6
"""Height that a letter of a server's name, written upward at 38 degrees, takes, px."""

LETTERS: dict[Waits, str] = {"network": "N", "service": "S", "host": "H", "unknown": "?"}


def matrix_chart(matrix: Matrix) -> Markup:
    """Return the picture: clients are rows, servers are columns."""
    width = LEFT + CELL * len(matrix.servers) + 70
    servers = [name(server, MOST_NAME) for server in matrix.servers]
    top = 30.0 + RISE * max(map(len, servers), default=0)
    height = top + ROW * len(matrix.clients) + 4
    marks = [
        svg.element("title", "Slow container pairs by service", id="matrix-title"),
        svg.element("desc", _description(matrix), id="matrix-desc"),
        svg.text(LEFT - 10, top - 10, "client ↓   server →", "tick", "end"),
    ]
    for number, server in enumerate(servers):
        x = LEFT + CELL * (number + 0.5)
        marks.append(
            svg.element(
                "text",
                server,
                transform=f"translate({x:g} {top - 8:g}) rotate(-38)",
                class_="heat-name",
            )
        )
    for number, client in enumerate(matrix.clients):
        y = top + ROW * number
        marks.append(svg.text(LEFT - 10, y + ROW / 2 + 4, name(client, 22), "heat-name", "end"))
        marks += [
            svg.element(
                "rect",
                x=LEFT + CELL * column + 0.5,
                y=y + 0.5,
                width=CELL - 1,
                height=ROW - 1,
                class_="heat-none",
            )
            for column in range(len(matrix.servers))
        ]
    for cell in matrix.cells:
        marks += _cell(
            cell,
            LEFT + CELL * matrix.servers.index(cell.server),
            top + ROW * matrix.clients.index(cell.client),
        )
    return svg.element(
        "svg",
        *marks,
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"max-width:{width:g}px",
        role="img",
        class_="chart matrix",
        aria_labelledby="matrix-title",
        aria_describedby="matrix-desc",
    )


def _description(matrix: Matrix) -> str:
    slow = sum(cell.slow for cell in matrix.cells)
    return (
        f"{many(slow, 'pair')} slow among {many(len(matrix.cells), 'combination')} of "
        f"{many(len(matrix.clients), 'client service')} and {many(len(matrix.servers), 'server service')}"
    )


def _cell(cell: ServiceCell, x: float, y: float) -> list[Markup]:
    level = 0 if not cell.slow else 2 if cell.slow * 2 < cell.pairs else 3
    if cell.waits == "network" and cell.slow:
        level += 1
    said = f"{cell.slow}/{cell.pairs}" if cell.slow else f"{cell.pairs}"
    letter = f" {LETTERS[cell.waits]}" if cell.waits and cell.slow else ""
    dark = " on-dark" if level > 3 else ""
    return [
        svg.element("rect", x=x + 0.5, y=y + 0.5, width=CELL - 1, height=ROW - 1, class_=f"heat-{level}"),
        svg.text(x + CELL / 2, y + ROW / 2 + 4, said + letter, f"heat-figure{dark}", "middle"),
    ]
