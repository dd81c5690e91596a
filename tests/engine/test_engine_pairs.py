from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from correlator import frames
from correlator.engine.pairs import observations, resolve

NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
CLIENT = {"host": "h1", "container_id": "web-1", "role": "client", "local_wire_address": "10.0.1.9",
          "peer_wire_address": "10.0.2.9", "server_port": 80}  # fmt: skip
SERVER = {"host": "h2", "container_id": "api-1", "role": "server", "local_wire_address": "10.0.2.9",
          "peer_wire_address": "10.0.1.9", "server_port": 80}  # fmt: skip


def samples(*rows: dict[str, Any]) -> pd.DataFrame:
    return frames.frame("pair_samples", [{"at": NOW, "interval_s": 60.0} | row for row in rows])


def containers(*rows: dict[str, Any]) -> pd.DataFrame:
    return frames.frame("containers", [{"at": NOW, "host": "h2"} | row for row in rows])


def hosts(*rows: dict[str, Any]) -> pd.DataFrame:
    return frames.frame("hosts", [{"at": NOW, "nic": "eth0"} | row for row in rows])


def peers(table: pd.DataFrame) -> list[tuple[Any, Any]]:
    plain = table[["peer_host", "peer_container_id"]].astype(object).where(table.notna(), None)
    return list(plain.itertuples(index=False, name=None))


def resolved(
    rows: pd.DataFrame, known: pd.DataFrame | None = None, machines: pd.DataFrame | None = None
) -> list[Any]:
    return peers(
        resolve(rows, containers() if known is None else known, hosts() if machines is None else machines)
    )


def test_two_ends_find_each_other_by_their_addresses() -> None:
    assert resolved(samples(CLIENT, SERVER)) == [("h2", "api-1"), ("h1", "web-1")]


def test_ends_behind_translated_addresses_find_each_other_too() -> None:
    nat = {"local_wire_address": "192.0.2.1"}
    assert resolved(samples(CLIENT | nat, SERVER | {"peer_wire_address": "192.0.2.1"}))[0] == ("h2", "api-1")


def test_a_reused_address_belongs_to_whoever_lived_then() -> None:
    life = {"address": "10.0.2.9"}
    known = containers(
        life
        | {
            "container_id": "old",
            "started_at": NOW - timedelta(seconds=90),
            "ended_at": NOW - timedelta(seconds=70),
        },
        life | {"container_id": "new", "started_at": NOW - timedelta(seconds=30)},
    )
    assert resolved(samples(CLIENT), known) == [("h2", "new")]


def test_two_lives_within_one_interval_stay_unresolved_but_their_host_is_known() -> None:
    life = {"address": "10.0.2.9"}
    known = containers(
        life
        | {
            "container_id": "old",
            "started_at": NOW - timedelta(seconds=50),
            "ended_at": NOW - timedelta(seconds=30),
        },
        life | {"container_id": "new", "started_at": NOW - timedelta(seconds=20)},
    )
    assert resolved(samples(CLIENT), known) == [("h2", None)]


def test_a_connection_left_by_a_dead_peer_is_not_its_successors() -> None:
    """A container that was killed sends no farewell: the other end keeps the connection, and it is idle."""
    quiet = {"connections_new": 0, "data_segments_sent": 0, "retransmitted_segments": 0, "exchanges": 0}
    heir = {"container_id": "heir", "host": "h1", "address": "10.0.1.9"}
    then = containers(heir | {"started_at": NOW - timedelta(seconds=30)})
    later = containers(heir | {"started_at": NOW - timedelta(minutes=9)})
    assert resolved(samples(SERVER | quiet), then) == [(None, None)]
    assert resolved(samples(SERVER | quiet), later) == [(None, None)]
    assert resolved(samples(SERVER | quiet | {"data_segments_sent": 1}), then) == [(None, None)]
    assert resolved(samples(SERVER | quiet | {"data_segments_sent": 1}), later) == [("h1", "heir")]
    assert resolved(samples(SERVER | quiet | {"connections_new": 1}), then) == [("h1", "heir")]


def test_a_common_source_port_tells_two_lives_apart() -> None:
    first, second = (
        SERVER | {"container_id": "old", "source_ports": [4001]},
        SERVER | {"source_ports": [4002]},
    )
    rows = samples(CLIENT | {"source_ports": [4002, 4003]}, first, second)
    assert resolved(rows)[0] == ("h2", "api-1")


def test_intervals_that_do_not_overlap_are_not_joined() -> None:
    rows = samples(CLIENT, SERVER | {"at": NOW - timedelta(seconds=120)})
    assert resolved(rows) == [(None, None), (None, None)]


def test_the_row_of_a_containers_end_does_not_hide_its_start() -> None:
    start = {"container_id": "api-1", "address": "10.0.2.9", "started_at": NOW - timedelta(seconds=40)}
    end = {"container_id": "api-1", "address": "10.0.2.9", "ended_at": NOW - timedelta(seconds=20)}
    assert resolved(samples(CLIENT), containers(start, end)) == [("h2", "api-1")]


def test_a_published_port_names_the_container_behind_a_hosts_address() -> None:
    machines = hosts({"host": "h2", "addresses": ["10.0.2.9"]})
    known = containers(
        {"container_id": "api-1", "published_ports": ["80/tcp"], "started_at": NOW - timedelta(hours=1)},
        {"container_id": "db-1", "published_ports": ["5432/tcp"], "started_at": NOW - timedelta(hours=1)},
    )
    assert resolved(samples(CLIENT), known, machines) == [("h2", "api-1")]


def test_a_hosts_own_address_names_the_host_and_a_shared_one_names_nobody() -> None:
    machines = hosts(
        {"host": "h2", "addresses": ["10.0.2.9", "172.17.0.1"]}, {"host": "h3", "addresses": ["172.17.0.1"]}
    )
    assert resolved(samples(CLIENT), None, machines) == [("h2", None)]
    assert resolved(samples(CLIENT | {"peer_wire_address": "172.17.0.1"}), None, machines) == [(None, None)]


def test_the_address_that_an_overlay_tells_becomes_the_host_that_has_it() -> None:
    told = samples(CLIENT | {"peer_host": "192.0.2.2"}, SERVER | {"peer_host": "192.0.2.9"})
    machines = hosts({"host": "h2", "addresses": ["192.0.2.2"]})
    assert resolved(told, machines=machines) == [("h2", "api-1"), ("192.0.2.9", "web-1")]


def test_what_is_filled_already_stays() -> None:
    rows = samples(CLIENT | {"peer_host": "h9", "peer_container_id": "x"}, SERVER)
    assert resolved(rows)[0] == ("h9", "x")


def test_rows_keep_their_order_and_index() -> None:
    rows = samples(CLIENT, SERVER)
    rows.index = pd.Index([7, 3])
    assert resolve(rows, containers(), hosts()).index.tolist() == [7, 3]


def test_nothing_resolves_to_nothing() -> None:
    assert resolve(samples(), containers(), hosts()).empty
    assert observations(samples(), containers()).empty


def test_both_ends_tell_of_one_pair_each_what_it_sent() -> None:
    known = containers({"host": "h1", "container_id": "web-1", "name": "web-1", "service": "web"})
    rows = samples(
        CLIENT | {"data_segments_sent": 100, "retransmitted_segments": 2, "exchanges": 50,
                  "response_ms_sum": 500.0, "response_ms_count": 50},
        SERVER | {"data_segments_sent": 300, "retransmitted_segments": 1, "service_ms_sum": 400.0,
                  "service_ms_count": 50},
    )  # fmt: skip
    seen = observations(resolve(rows, known, hosts()), known)
    assert seen["src_service"].tolist() == ["web", "web"]
    assert seen["dst_service"].tolist() == ["api-1", "api-1"]
    sums = seen[["segments_client", "segments_server", "retransmitted_client", "retransmitted_server"]].sum()
    assert sums.tolist() == [100, 300, 2, 1]
    assert seen[["response_ms", "responses", "service_ms", "services"]].sum().tolist() == pytest.approx(
        [500, 50, 400, 50]
    )


@pytest.mark.parametrize(("dsack", "needed", "undirected"), [(0, 5, 0), (4, 1, 0), (9, 0, 0), (None, 5, 5)])
def test_what_was_sent_again_needlessly_was_not_lost(dsack: int | None, needed: int, undirected: int) -> None:
    known = containers({"host": "h1", "container_id": "web-1", "name": "web-1", "service": "web"})
    rows = samples(CLIENT | {"data_segments_sent": 100, "retransmitted_segments": 5, "dsack": dsack}, SERVER)
    seen = observations(resolve(rows, known, hosts()), known)
    assert seen[["retransmitted_client", "undirected"]].sum().tolist() == [needed, undirected]


def test_a_pair_with_one_unknown_end_is_left_out() -> None:
    assert observations(resolve(samples(CLIENT), containers(), hosts()), containers()).empty


def test_two_lives_of_one_service_within_one_interval_count_for_the_service() -> None:
    life = {"host": "h1", "address": "10.0.1.9", "service": "web"}
    lives = [
        life
        | {
            "container_id": "old",
            "started_at": NOW - timedelta(seconds=50),
            "ended_at": NOW - timedelta(seconds=30),
        },
        life | {"container_id": "new", "started_at": NOW - timedelta(seconds=20)},
    ]
    known = containers(*lives, {"container_id": "api-1", "service": "api", "address": "10.0.2.9"})
    rows = resolve(samples(SERVER | {"service_ms_sum": 90.0, "service_ms_count": 9}), known, hosts())
    seen = observations(rows, known)
    assert peers(rows) == [("h1", None)]
    assert seen[["src_service", "dst_service"]].to_numpy().tolist() == [["web", "api"]]
    assert seen["services"].tolist() == [9.0]
    other = containers(lives[0], lives[1] | {"service": "cron"}, {"container_id": "api-1", "service": "api"})
    assert observations(rows, other).empty
