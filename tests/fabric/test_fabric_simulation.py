"""The fabric as a whole: it repeats itself, it loses nothing unaccounted, its agents write valid rows."""

import numpy as np
import pandas as pd
import pytest
from a_fabric import ran, rows, run

from correlator.fabric.layout import Size
from correlator.fabric.simulation import Fabric


def spool(fabric: Fabric) -> list[bytes]:
    return [line for agent in fabric.hosts.values() for _, line in agent.rows]


def mib(fabric: Fabric) -> list[bytes]:
    return [agent.mib.at(n) for agent in fabric.switches.values() for n in range(len(agent.mib.oids))]


def test_the_same_seed_and_advances_give_the_same_answers_to_the_byte():
    one, other = run(2, minutes=7), run(2, minutes=7)
    assert spool(one) == spool(other)
    assert mib(one) == mib(other)


def test_another_seed_is_another_fabric():
    assert spool(run(2, minutes=1)) != spool(run(3, minutes=1))


def test_another_story_leaves_what_it_does_not_touch_as_it_was():
    one, other = ran(2, "nothing"), ran(2, "slow_service")
    assert [c.container_id for c in one.world.setting.workload.containers] == [
        c.container_id for c in other.world.setting.workload.containers
    ]
    same = rows(one, "containers").merge(rows(other, "containers"), on=["container_id", "at"])
    assert len(same) == len(rows(one, "containers"))
    idle = other.layout.out_of[2]
    assert one.world.links.floor[idle] == other.world.links.floor[idle]


def test_a_fault_seed_moves_the_fault_and_nothing_else():
    one = Fabric(2, "dirty_connector")
    places = {Fabric(2, "dirty_connector", fault_seed=n).story.fault.link for n in range(8)}
    other = Fabric(2, "dirty_connector", fault_seed=3)
    assert len(places) > 3
    assert [p.mac for p in one.layout.ports] == [p.mac for p in other.layout.ports]
    assert one.start == other.start


def test_many_small_steps_reach_the_same_moment_as_a_large_one():
    one, other = Fabric(4, "nothing"), Fabric(4, "nothing")
    for _ in range(25):
        one.advance(1)
    other.advance(25)
    assert one.now == other.now
    assert len(rows(one, "pair_samples")) == len(rows(other, "pair_samples")) > 0


def test_every_frame_that_leaves_arrives_or_is_an_error():
    counts = ran(2, "dirty_connector").world.links.counts
    assert (counts.sent + counts.spoiled == counts.received + counts.errors).all()
    assert (counts.errors[:-1].sum()) > 0


def test_what_hosts_lose_is_what_they_send_again():
    fabric = ran(2, "dirty_connector")
    samples = rows(fabric, "pair_samples")
    needless, resent = samples["dsack"].sum(), samples["retransmitted_segments"].sum()
    both = samples.groupby("role")[["data_segments_sent", "data_segments_received"]].sum()
    lost = both.loc["client", "data_segments_sent"] - both.loc["server", "data_segments_received"]
    lost += both.loc["server", "data_segments_sent"] - both.loc["client", "data_segments_received"]
    assert lost == resent - needless > 1000


def test_containers_never_send_more_than_their_link_carries():
    fabric = ran(2, "nothing")
    samples = rows(fabric, "pair_samples")
    machine = fabric.layout.hosts[0]
    link = int(fabric.layout.out_of[machine.number])
    sent = samples.loc[samples["host"] == machine.name, "bytes_sent"].sum()
    assert 0 < sent < fabric.world.links.counts.sent_octets[link]


def test_rows_of_both_ends_agree():
    samples = rows(ran(2, "nothing"), "pair_samples")
    client, server = (samples[samples["role"] == role] for role in ("client", "server"))
    assert len(client) == len(server)
    assert client["exchanges"].sum() == server["exchanges"].sum()
    assert client["bytes_sent"].sum() == server["bytes_received"].sum()
    assert client["response_ms_sum"].notna().all()
    assert client["service_ms_sum"].isna().all()
    assert server["response_histogram"].isna().all()


def test_the_histogram_counts_what_was_timed():
    samples = rows(ran(2, "nothing"), "pair_samples")
    client = samples[samples["role"] == "client"]
    assert (client["response_histogram"].map(len) == 17).all()
    assert (client["response_histogram"].map(sum) == client["response_ms_count"]).all()


def test_responses_are_network_and_service():
    samples = rows(ran(5, "nothing"), "pair_samples")
    client, server = (samples[samples["role"] == role] for role in ("client", "server"))
    response = client["response_ms_sum"].sum() / client["response_ms_count"].sum()
    service = server["service_ms_sum"].sum() / server["service_ms_count"].sum()
    assert 0.03 < response - service < 0.4


def test_short_lived_containers_take_over_used_addresses():
    containers = rows(ran(2, "nothing"), "containers")
    ended = containers[containers["ended_at"].notna()]
    life = (ended["ended_at"] - ended["started_at"]).dt.total_seconds()
    assert len(ended) > 100
    assert life.between(0.99, 20.01).all()
    assert (ended.groupby("address")["container_id"].nunique() > 5).any()
    started = containers[containers["ended_at"].isna()]
    assert set(ended["container_id"]) <= set(started["container_id"])
    assert started["container_id"].is_unique
    assert ended["container_id"].is_unique


def test_no_address_is_used_by_two_containers_at_once():
    containers = rows(ran(2, "nothing"), "containers")
    whole = containers.sort_values("ended_at").groupby("container_id").first().sort_values("started_at")
    for _, each in whole.groupby("address"):
        ends = each["ended_at"].fillna(pd.Timestamp("2100-01-01", tz="UTC").as_unit("us")).tolist()[:-1]
        overlap = [later < end for end, later in zip(ends, each["started_at"].tolist()[1:], strict=True)]
        assert not any(overlap)


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_pairs_cross_racks_share_a_rack_and_share_a_host(seed):
    fabric = ran(seed, "nothing", 1)
    hosts = fabric.layout.hosts
    ends = [(hosts[p.client.host], hosts[p.server.host]) for p in fabric.world.traffic.pairs]
    assert any(a.leaf != b.leaf for a, b in ends)
    assert any(a.leaf == b.leaf and a != b for a, b in ends)
    assert any(a == b for a, b in ends)


def test_requests_and_answers_are_hashed_apart():
    flows = ran(2, "nothing", 1).world.traffic.flows
    up, down = flows.forward[:, 1], flows.reverse[:, 2] ^ 1
    crossing = flows.forward[:, 2] != ran(2, "nothing", 1).layout.links
    same = (up == down)[crossing].mean()
    assert 0.2 < same < 0.8


def test_containers_of_one_host_wear_out_no_cable():
    fabric = ran(2, "nothing", 1)
    traffic, none = fabric.world.traffic, fabric.layout.links
    local = np.array([p.client.host == p.server.host for p in traffic.pairs])[traffic.flows.pair]
    assert local.any()
    assert (traffic.flows.forward[local] == none).all()


def test_links_are_loaded_below_two_fifths():
    world = ran(5, "nothing").world
    load = world.links.counts.sent_octets[:-1] * 8 / world.second / world.links.speed[:-1]
    assert load.max() < 0.4


@pytest.mark.parametrize("seconds", [0, -5, 86_401])
def test_an_advance_of_no_sensible_length_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds must be"):
        Fabric(5).advance(seconds)


@pytest.mark.parametrize("size", [(1, 1, 2), (1, 2, 3), (2, 1, 1), (3, 3, 1), (8, 4, 2)])
@pytest.mark.parametrize("story", ["dirty_connector", "congestion", "slow_service", "decoys"])
def test_fabrics_of_other_sizes_run(size, story):
    fabric = Fabric(2, story, Size(*size))
    fabric.advance(70)
    assert len(rows(fabric, "hosts")) == size[0] * size[2]
    assert len(fabric.switches) == size[0] + size[1]


@pytest.mark.parametrize("size", [(0, 2, 2), (1, 1, 1), (4, 65, 2), (201, 2, 2)])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match=r"must be|two hosts"):
        Size(*size)
