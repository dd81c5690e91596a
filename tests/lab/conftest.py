"""The lab, built once for all its stories; skipped by name where this machine lacks something."""

from __future__ import annotations

import os
from pathlib import Path

import lab_bgp
import lab_machine
import pytest
from lab_plan import Plan
from lab_watch import watching
from real_lab import Lab, missing

HERE = Path(__file__).parent
LAB = "CORRELATOR_LAB"  # how much is told: short (as in every test run), all, long, or hour
MARKS = {
    "short": f"a story that {LAB}=short tells alone: it ends what others go on with",
    "all": "that all and long tell",
    "long": "that long tells",
    "hour": "that hour tells",
}
TOLD = {"short": set(), "all": {"all"}, "long": {"all", "long"}}


def pytest_configure(config):
    for name, what in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {what}")


@pytest.hookimpl(trylast=True)  # fixtures with parameters have their own idea of the order
def pytest_collection_modifyitems(config, items):
    level = os.environ.get(LAB) or "short"
    left = [item for item in items if item.path.is_relative_to(HERE) and not _is_told(item, level)]
    config.hook.pytest_deselected(items=left)
    items[:] = sorted((item for item in items if item not in left), key=_place)


def _place(item):
    """Return where a test stands: the lab's last, those that need the machine for themselves before a lab."""
    if not item.path.is_relative_to(HERE):
        return 0, False
    return (2, item.callspec.params["lab"] != "lab") if "lab" in item.fixturenames else (1, False)


def _is_told(item, level):
    marks = {mark.name for mark in item.iter_markers()} & MARKS.keys()
    if level == "hour" or "short" in marks:
        return level in marks
    return marks <= TOLD[level]


def pytest_generate_tests(metafunc):
    """A module says which description its stories are told on, as VARIANT; a lab is built once for each."""
    if "lab" in metafunc.fixturenames:
        variant = getattr(metafunc.module, "VARIANT", "lab")
        metafunc.parametrize("lab", [variant], indirect=True, scope="session")


@pytest.fixture(scope="session")
def lab(request):
    plan = Plan.read(request.param)
    lacking = missing() or (lab_bgp.missing() if plan.switching == "bgp" else "")
    if lacking:
        pytest.skip(f"the real lab: {lacking}")
    with lab_machine.alone() as home:
        made = Lab(lab_machine.Machine(home), plan)
        try:
            yield made.open()
        finally:
            made.close()
        assert made.machine.left() == []


@pytest.fixture(scope="session")
def watch(lab, tmp_path_factory):
    """The service before the lab and rsyslogd behind it, and what there is to be expected of them."""
    with watching(lab, tmp_path_factory.mktemp("rsyslog")) as made:
        yield made
