"""A container that runs an errand, and whether the service knows of it what the container counted itself."""

from __future__ import annotations

from typing import Any

import pandas as pd
from lab_host import ANSWER, REQUEST
from lab_plan import ASKED
from lab_watch import moment

from correlator.engine.pairs import resolve

WAITS_S = 60
SUMS = ("exchanges", "bytes_sent", "bytes_received", "retransmitted_segments")


class Errand:
    """From one host to a container of another: ``run``, then ``is_counted``."""

    def __init__(self, lab: Any, asking: str, asked: str) -> None:
        self._from, self._to, self._lab = asking, asked, lab

    def run(
        self,
        name: str,
        connections: int,
        think: float,
        count: int = 0,
        seconds: float = 0,
        at: tuple[str, int] | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        """Ask ``at`` an address and port, the service ``api``'s where none are given, and end."""
        address, port = at or (self._lab.hosts[self._to].address_of("api"), ASKED)
        self._name, self._connections, self._since = name, connections, moment()
        self.counted = self._lab.hosts[self._from].ask(
            name,
            address,
            port,
            count=count,
            seconds=seconds,
            think=think,
            request=REQUEST,
            answer=ANSWER,
            connections=connections,
            flags=("--label", "com.docker.compose.service=web", *flags),
        )

    def is_counted(self, watch: Any) -> None:
        """Wait until both ends' rows are there, and compare them with what the container counted."""
        told = self.counted
        wanted = {
            "client": [told["requests"], told["sent"], told["received"], told["resent"]],
            "server": [told["requests"], told["received"], told["sent"], None],
        }
        watch.until(lambda: self._rows(watch)["connections_closed"].sum() == 2 * self._connections,
                    f"both ends of {self._name}", WAITS_S)  # fmt: skip
        self.seen = moment()
        rows = self._rows(watch)
        for role, counts in wanted.items():
            mine = rows[rows["role"] == role]
            host, peer = (self._from, self._to) if role == "client" else (self._to, self._from)
            assert set(mine["host"]) == {host}
            assert set(mine["peer_host"].dropna()) == {peer}, mine["peer_host"].tolist()
            known = [int(mine[column].sum()) for column in SUMS]
            print(f"\n{self._name}, {role}: counted {counts}, known {known}")
            assert known[:2] == counts[:2]
            assert 0 <= known[2] - counts[2] <= self._connections  # the end of a connection is a byte
            assert counts[3] in (None, known[3])

    def _rows(self, watch: Any) -> pd.DataFrame:
        """Return the rows of both ends, resolved as a cycle does: a peer may become known after its pair."""
        service = watch.service
        known = (service.store.newest(name, moment()) for name in ("containers", "hosts"))
        rows = resolve(service.read("pair_samples", self._since), *known)
        mine = self.counted["id"]
        return rows[(rows["container_id"] == mine) | (rows["peer_container_id"] == mine)]
