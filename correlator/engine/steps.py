"""Work orders: what to do about a cause, and what next if that did not help.

The order is CorrOpt's (SIGCOMM 2017). Page: docs/algorithms/diagnose.md.
"""

from __future__ import annotations

from correlator.model import Action, Direction, Link, RootCause


def actions(link: Link, direction: Direction, cause: RootCause, lane: int | None) -> tuple[Action, ...]:
    """Return the work order: what to do first, and what next if that did not help."""
    rx, tx = link.receiver(direction), link.sender(direction)
    if cause == "dirty_connector":
        either = "light and counters do not tell which end-face is dirty: start at the receiving end"
        return (
            Action(
                1, "inspect_and_clean", rx.device, rx.if_name, lane, "rx", f"inspect and clean {rx}; {either}"
            ),
            Action(2, "inspect_and_clean", tx.device, tx.if_name, lane, "tx", f"then the sending end, {tx}"),
            Action(3, "replace_cable", rx.device, rx.if_name, None, "rx", "if no change: replace the cable"),
        )
    if cause == "damaged_fiber":
        return (
            Action(1, "replace_cable", rx.device, rx.if_name, None, "rx", f"replace the cable {link}"),
            Action(2, "inspect_and_clean", rx.device, rx.if_name, lane, "rx", "clean both ends while there"),
        )
    if cause == "failing_transmitter":
        return (
            Action(
                1,
                "replace_transceiver",
                tx.device,
                tx.if_name,
                lane,
                "tx",
                f"replace the transceiver of {tx}",
            ),
        )
    if cause in ("bad_transceiver", "shared_component"):  # of one link alone nobody knows who shares it
        return (
            Action(1, "reseat", rx.device, rx.if_name, None, "rx", f"reseat the transceiver of {rx}"),
            Action(2, "reseat", tx.device, tx.if_name, None, "tx", f"then that of the sending end, {tx}"),
            Action(3, "replace_transceiver", rx.device, rx.if_name, None, "rx", "if no change: replace it"),
            Action(4, "inspect_and_clean", rx.device, rx.if_name, lane, "rx", "then inspect and clean"),
        )
    if cause == "congestion":
        return (
            Action(
                1,
                "relieve",
                tx.device,
                tx.if_name,
                None,
                "tx",
                f"relieve the full egress {tx}: cleaning will not help",
            ),
        )
    return (
        Action(
            1,
            "drain",
            tx.device,
            tx.if_name,
            None,
            "tx",
            f"drain {link}: packets vanish there and no counter tells",
        ),
    )
