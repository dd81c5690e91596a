"""``correlator demo``: a simulated fabric with a seeded story, what the chain says of it, and the truth."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from correlator.commands.fabric import running
from correlator.commands.options import Json, out, print_json, progress
from correlator.commands.verdicts import place, sentence
from correlator.ports import CorrelatorError

if TYPE_CHECKING:
    from correlator.commands.play import Outcome
    from correlator.model import Verdict

STATE = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm")
SHOW = Path(__file__).parents[2] / "tests" / "lab" / "show.py"
LEFT_BEHIND = ("fabric", "secrets", "tables", "reports", *STATE)

Story = Literal["nothing", "decoys", "dirty_connector", "congestion", "slow_service"]
Seed = Annotated[int, typer.Option(min=0, help="Draws the fabric, its traffic and its story.")]
Told = Annotated[Story | None, typer.Option(help="The story, instead of the one that the seed draws.")]
Lab = Annotated[
    bool,
    typer.Option(
        "--lab", help="On a fabric of real parts: namespaces, snmpd, lldpd, Docker (root; a checkout)."
    ),
]
Directory = Annotated[Path, typer.Option(help="Where tables, configuration and report are left.")]


def demo(
    seed: Seed = 2,
    story: Told = None,
    directory: Directory = Path("out/demo"),
    lab: Lab = False,
    as_json: Json = False,
) -> None:
    """Simulate a fabric, say over real SNMP and HTTP what is slow in it and why, compare with the truth."""
    if lab:
        if story or as_json:
            raise typer.BadParameter("--lab tells one story, as text: without --story and --json")
        _show(seed, directory)
        return
    logging.getLogger("correlator").setLevel(max(logging.ERROR, logging.root.level))
    with progress.status("starting a simulated fabric") as status:
        tell = status.update if progress.is_terminal else progress.print
        outcome = played(seed, story, directory, tell)
    if as_json:
        print_json(outcome.to_json())
    else:
        _print(outcome)
    if not outcome.right:
        raise typer.Exit(1)


def _show(seed: int, directory: Path) -> None:
    """Build the real lab and hurt it; its parts belong to the tests, which are not installed.

    Raises CorrelatorError where they are not there, Exit where the verdict was not the truth.
    """
    if not SHOW.exists():
        raise CorrelatorError(
            f"the lab is part of the source: run .venv/bin/correlator in a checkout (no {SHOW})"
        )
    done = subprocess.run([sys.executable, str(SHOW), str(seed), str(directory / "lab")], check=False)  # noqa: S603
    if done.returncode:
        raise typer.Exit(1)


def played(
    seed: int,
    story: str | None,
    directory: Path,
    tell: Callable[[str], None] = lambda _: None,
    more: Sequence[str] = (),
) -> Outcome:
    """Play one seed in ``directory``, replacing what an earlier demo left there.

    ``more`` are further arguments of the fabric's (its size, another place for the same fault).
    Raises CorrelatorError where the fabric does not start or the store cannot be written.
    """
    started = time.monotonic()
    _clear(directory)
    arguments = ["--seed", str(seed), *(["--story", story] if story else []), *more]
    with running(directory / "fabric", arguments) as process:
        # loaded here, a second's work, while the fabric gets ready
        from correlator.commands.play import play

        return play(process, directory, started, tell)


def _clear(directory: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in LEFT_BEHIND:
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _print(outcome: Outcome) -> None:
    from correlator.model import Verdict

    out.print(_table([Verdict.from_json(_known(fault)) for fault in outcome.truth], outcome.verdicts))
    for finding in outcome.findings:
        out.print(f"finding  {sentence(finding)}", markup=False)
    for alert in outcome.alerts:
        out.print(f"alert    {alert}", markup=False)
    out.print(f"report   {outcome.report}", markup=False)
    for verdict in outcome.verdicts[:1]:
        worst = verdict.pairs[0]
        two = f"{worst.src_name} {worst.dst_name}"
        out.print(f"explain  correlator explain -c {outcome.config} {two}", markup=False)
    said = "the verdict is the truth" if outcome.right else "the verdict is not the truth"
    out.print(f"{said} ({outcome.seconds:.1f} s)", style="bold green" if outcome.right else "bold red")


def _known(fault: dict[str, Any]) -> dict[str, Any]:
    """Return a truth without what a verdict does not have (what was injected)."""
    from correlator.model import Verdict

    return {key: value for key, value in fault.items() if key in Verdict.__dataclass_fields__}


def _table(truth: list[Verdict], verdicts: list[Verdict]) -> Table:
    """Return verdicts and truth below one another, the sure thing last."""
    table = Table(title="verdict and truth", title_justify="left")
    for heading in ("", "kind", "where", "cause", "sure", "steps at"):
        table.add_column(heading, overflow="fold")
    for heading, said in (("verdict", verdicts), ("truth", truth)):
        if not said:
            table.add_row(heading, "-", "nothing is slow", "-", "", "")
        for verdict in said:
            table.add_row(heading, verdict.kind, place(verdict), *_cells(verdict))
    return table


def _cells(verdict: Verdict) -> tuple[str, str, str]:
    ends = dict.fromkeys(f"{a.device} {a.if_name or ''}".strip() for a in verdict.actions if a.device)
    return verdict.root_cause, f"{verdict.probability:.0%}", ", ".join(ends)
