"""The real lab as a show, for ``correlator demo --lab``: ``python show.py SEED DIRECTORY``.

Builds the lab, draws the fabric, makes a connector dirty that the seed draws, waits for the line that reaches
rsyslogd, writes the report, cleans, waits for the clear, and gives the machine everything back. What was
measured and told stays in DIRECTORY. Exit 0: the verdict was the truth; 1: it was not, or no lab can be here.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "agent"), str(HERE.parent / "alerts"), str(HERE.parents[1])]

import lab_machine  # noqa: E402
import pytest  # noqa: E402
from lab_dirt import Dirt  # noqa: E402
from lab_plan import Plan  # noqa: E402
from lab_watch import Watch, lost, watching  # noqa: E402
from real_lab import Lab, missing  # noqa: E402

LOSES = 0.01
DRAWING = "fabric.svg"


def main(seed: int, directory: Path) -> int:
    lacking = missing()
    if lacking:
        print(f"the real lab: {lacking}", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "rsyslog").mkdir(parents=True)
    say("building it: namespaces, snmpd, lldpd, Docker engines, agents (half a minute)")
    try:
        with built() as lab:
            say("the service watches; a clean minute is measured and stands for the past")
            with watching(
                lab, (directory / "rsyslog").resolve()
            ) as watch:  # rsyslogd has another folder of its own
                report = told(seed, directory, lab, watch)
            shutil.copytree(lab.machine.home / "service", directory, dirs_exist_ok=True)
    except (AssertionError, RuntimeError, TimeoutError, pytest.skip.Exception) as error:
        print(f"the real lab: {error}", file=sys.stderr)
        return 1
    opened(directory / report)
    return 0


def opened(report: Path) -> None:
    """Say where the report is, and open it where there is a screen."""
    say(f"the report of the day: {report}")
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(report.resolve().as_uri())


@contextmanager
def built() -> Iterator[Lab]:
    with lab_machine.alone() as home:
        lab = Lab(lab_machine.Machine(home), Plan.read())
        try:
            yield lab.open()
        finally:
            lab.close()


def told(seed: int, directory: Path, lab: Lab, watch: Watch) -> str:
    """Hurt the lab, and show what the service makes of it; return where the report is in its folder."""
    watch.service.command("topology", "--svg", str(directory / DRAWING))
    say(f"the fabric, as the service knows it: {directory / DRAWING}")
    dirt = drawn(seed, lab)
    truth = lost(dirt.cable, dirt.receiver)
    say(f"a dirty connector sets in on {dirt.cable.link}: {dirt.receiver} loses {LOSES:.0%} of what comes in")
    dirt.spread(LOSES)
    try:
        incident = watch.opened("syslog", truth, visible=dirt.shows)
        errors, share = dirt.share()
        say(f"the kernel counted {errors} lost packets there since, {share:.2%}")
        written = watch.service.command("report", "--date", f"{incident.opened_at:%Y-%m-%d}").strip()
    finally:
        dirt.clean()
    say("the connector is cleaned; a clear comes with proof, in a minute or so")
    watch.cleared(incident, "syslog")
    watch.calm()
    say("the verdict is the truth; nothing of the lab stays on the machine")
    return str(Path(written).relative_to(lab.machine.home / "service"))


def drawn(seed: int, lab: Lab) -> Dirt:
    """Return the direction of a link between switches that a seed draws."""
    cables = [cable for cable in lab.plan.cables if cable.lower.device in lab.plan.leaves]
    dice = random.Random(seed)
    cable = dice.choice(cables)
    return Dirt(lab, cable, dice.choice([cable.lower.device, cable.upper.device]))


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
