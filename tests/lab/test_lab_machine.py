"""The lab gives the machine back what it took, however it ended."""

from __future__ import annotations

import os
import subprocess
import sys

import lab_machine
import pytest
from real_lab import missing

pytestmark = [pytest.mark.real, pytest.mark.root]

BUILT = """
import lab_machine, time
from lab_plan import Plan
from real_lab import Lab
with lab_machine.alone() as home:
    lab = Lab(lab_machine.Machine(home), Plan.read())
    lab.fabric.build()
    for switch in lab.switches.values():
        switch.start()
    print("built", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lacking():
    if missing():
        pytest.skip(f"the real lab: {missing()}")


def test_what_a_killed_lab_left_is_found_and_removed(lacking):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen([sys.executable, "-c", BUILT], stdout=subprocess.PIPE, env=environment)
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


def test_there_is_one_lab_at_a_time(lacking):
    with lab_machine.alone(), pytest.raises(RuntimeError, match="another lab runs"), lab_machine.alone():
        pass
