"""The reliability plot: how sure verdicts were against how often they were right, as SVG in grey."""

from __future__ import annotations

from typing import Any

SIDE, LEFT, TOP = 320, 60, 20  # of the square that is drawn in, pixels
FONT = 'font-family="sans-serif" font-size="12"'


def reliability(told: dict[str, Any]) -> str:
    """Return the plot of ``summary.reliability``: overall as discs, between 0.2 and 0.9 as squares."""
    whole, middle = told["overall"], told["between_0.2_and_0.9"]
    marks = [_mark(one, False) for one in whole["bins"]] + [_mark(one, True) for one in middle["bins"]]
    width, height = LEFT + SIDE + 20, TOP + SIDE + 90
    title = "Reliability of verdicts on our simulator"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{title}: probability told against share right">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#000"/>',
        *(_tick(n / 5) for n in range(6)),
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="#000" stroke-dasharray="5 4" fill="none"/>',
        *marks,
        _text(LEFT + SIDE / 2, TOP + SIDE + 36, "probability that was told", "middle"),
        f'<text x="16" y="{TOP + SIDE / 2}" {FONT} text-anchor="middle" '
        f'transform="rotate(-90 16 {TOP + SIDE / 2})">share that was right</text>',
        _text(LEFT, TOP + SIDE + 58, f"● all {whole['told']} verdicts, 15 bins; error {_error(whole)}"),
        _text(LEFT, TOP + SIDE + 76, f"□ {middle['told']} told 0.2 to 0.9; error {_error(middle)}"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _error(binned: dict[str, Any]) -> str:
    return "unknown" if binned["error"] is None else f"{binned['error']:.3f}"


def _x(value: float) -> float:
    return round(LEFT + SIDE * value, 1)


def _y(value: float) -> float:
    return round(TOP + SIDE * (1.0 - value), 1)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" {FONT} text-anchor="{anchor}">{text}</text>'


def _tick(value: float) -> str:
    return (
        f'<path d="M{_x(value)} {_y(0)}v5M{_x(0)} {_y(value)}h-5" stroke="#000"/>'
        + _text(_x(value), _y(0) + 18, f"{value:.1f}", "middle")
        + _text(_x(0) - 8, _y(value) + 4, f"{value:.1f}", "end")
    )


def _mark(one: dict[str, Any], square: bool) -> str:
    """Return a bin's point with its 95 % interval."""
    x, y, (low, high) = _x(one["said"]), _y(one["so"]), one["interval"]
    bar = f'<path d="M{x} {_y(low)}V{_y(high)}" stroke="{"#999" if square else "#333"}"/>'
    if square:
        return bar + f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="#fff" stroke="#000"/>'
    return bar + f'<circle cx="{x}" cy="{y}" r="4" fill="#000"/>'
