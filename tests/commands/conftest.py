"""The command line, run in this process."""

import socket
import sys

import pytest

from correlator import cli


@pytest.fixture
def correlator(monkeypatch, capsys):
    """Run ``correlator`` with arguments; return exit code, stdout and stderr."""

    def _correlator(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["correlator", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return _correlator


@pytest.fixture
def unused_udp_port():
    """Return a port on which nothing listens: bound here, and never read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
