"""The lab gives the machine back what it took, however it ended."""

from __future__ import annotations

import os
import subprocess
import sys

import lab_host
import lab_machine
import pytest
from lab_plan import Plan
from real_lab import Lab, missing

pytestmark = [pytest.mark.real, pytest.mark.root]

BUILT = """
import lab_machine, time
from lab_plan import Plan
from real_lab import Lab
with lab_machine.alone() as home:
    lab = Lab(lab_machine.Machine(home), Plan.read())
    lab.machine.clear()
    {begins}
    print("built", flush=True)
    time.sleep(600)
"""
SWITCHES = "lab.fabric.build(); [switch.start() for switch in lab.switches.values()]"
WHOLE = "lab.open()"


@pytest.fixture
def lacking():
    if missing():
        pytest.skip(f"the real lab: {missing()}")


def test_what_a_killed_lab_left_is_found_and_removed(lacking):
    kill_once(SWITCHES)


def kill_once(begins):
    """Kill a lab once it stands, and have the next one clear what is left."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen(
        [sys.executable, "-c", BUILT.format(begins=begins)], stdout=subprocess.PIPE, env=environment
    )
    with killed.stdout as told:
        assert told.readline() == b"built\n"
        killed.kill()
        killed.wait(20)
    with lab_machine.alone() as home:
        machine = lab_machine.Machine(home)
        assert len(machine.left()) > 10
        machine.clear()
        assert machine.left() == []
        assert [entry.name for entry in home.iterdir()] == ["lock"]


@pytest.mark.all
def test_what_a_lab_with_containers_left_when_it_was_killed_is_removed(lacking):
    kill_once(WHOLE)


def test_a_lab_that_does_not_start_leaves_nothing(lacking, monkeypatch):
    def fails(*_):
        raise RuntimeError("no image today")

    monkeypatch.setattr(lab_host, "image", fails)
    with lab_machine.alone() as home:
        lab = Lab(lab_machine.Machine(home), Plan.read())
        with pytest.raises(RuntimeError, match="no image today"):
            lab.open()
        assert lab.machine.left() == []
        assert [entry.name for entry in home.iterdir()] == ["lock"]


def test_there_is_one_lab_at_a_time(lacking):
    with lab_machine.alone(), pytest.raises(RuntimeError, match="another lab runs"), lab_machine.alone():
        pass
