"""Stories that the whole chain has lived through, each played once a session."""

import sys
from pathlib import Path

import pytest

from correlator.commands import demo

sys.path.append(str(Path(__file__).parents[1] / "alerts"))  # its rsyslog serves here too


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """Return the outcome of a seed (and story, and further arguments of the fabric), played once."""
    outcomes = {}

    def _played(seed, story=None, *more):
        if (seed, story, more) not in outcomes:
            directory = tmp_path_factory.mktemp("demo")
            outcomes[seed, story, more] = demo.played(seed, story, directory, more=more)
        return outcomes[seed, story, more]

    return _played
