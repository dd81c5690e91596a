"""A chain over a real store and state in a temporary folder."""

import pytest
from parts_of_a_chain import FullDisk

from correlator.pipeline import COPY, Pipeline
from correlator.store.delta import DeltaStore
from correlator.store.state import SqliteState


@pytest.fixture
def store(tmp_path):
    return FullDisk(DeltaStore(tmp_path / "tables"))


@pytest.fixture
def state(tmp_path):
    return SqliteState(tmp_path / "state.sqlite", [COPY, "syslog"])


@pytest.fixture
def chain(store, state):
    def _chain(sinks=(), params=None, **pollers):
        return Pipeline(store, state, pollers=pollers, sinks=sinks, params=params)

    return _chain
