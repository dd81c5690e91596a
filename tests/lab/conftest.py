"""The lab, built once for all its stories; skipped by name where this machine lacks something."""

from __future__ import annotations

import os
from pathlib import Path

import lab_machine
import pytest
from certificates import certificates
from lab_plan import Plan
from lab_service import Service
from lab_watch import Watch, moment
from real_lab import Lab, missing
from rsyslog import rsyslogd

HERE = Path(__file__).parent
SETTLES_S = 15  # LLDP is heard, the first polls are in
STARTS_S = 8
MEASURED_S = 47  # three slices of the past
LAB = "CORRELATOR_LAB"  # "short" or "all": without it no story is told, for each takes minutes


def pytest_configure(config):
    config.addinivalue_line("markers", f"long: a story that only {LAB}=all tells")


def pytest_collection_modifyitems(config, items):
    wanted = os.environ.get(LAB, "")
    left = [item for item in items if _told(item) and (not wanted or (wanted != "all" and _long(item)))]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _told(item):
    return "lab" in item.fixturenames and item.path.is_relative_to(HERE)


def _long(item):
    return item.get_closest_marker("long") is not None


@pytest.fixture(scope="session")
def lab():
    lacking = missing()
    if lacking:
        pytest.skip(f"the real lab: {lacking}")
    with lab_machine.alone() as home:
        made = Lab(lab_machine.Machine(home), Plan.read())
        try:
            yield made.open()
        finally:
            made.close()
        assert made.machine.left() == []


@pytest.fixture(scope="session")
def watch(lab, tmp_path_factory):
    """The service before the lab and rsyslogd behind it, and what there is to be expected of them.

    A clean minute has been measured, and stands for the past.
    """
    folder = tmp_path_factory.mktemp("rsyslog")
    with rsyslogd(folder, certificates(folder)) as receiver:
        service = Service(lab, receiver)
        service.start()
        made = Watch(service)
        made.calm_for(SETTLES_S)
        since = moment()
        made.calm_for(MEASURED_S)
        assert service.remember(since) >= 3
        assert service.end() == 0
        service.start()  # it looks at the past once an hour
        made.calm_for(STARTS_S)
        yield made
        assert service.end() == 0
        assert "Traceback" not in service.log
