"""The stories: each fault does what it says, its decoys hurt nobody, and the truth names it."""

import math

import numpy as np
import pandas as pd
import pytest
from a_fabric import link_of, ran, rows, run

from correlator.fabric.dice import Dice
from correlator.fabric.faults import FAULTS
from correlator.fabric.simulation import Fabric
from correlator.fabric.stories import name_by_seed
from correlator.fabric.truth import truth
from correlator.model import Verdict

SEEDS = (2, 3, 4, 7)


def phases(fabric: Fabric) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of pairs before the fault and since."""
    samples = rows(fabric, "pair_samples")
    onset = fabric.start + pd.Timedelta(seconds=fabric.world.fault_from + 1)
    return samples[samples["at"] <= onset], samples[samples["at"] > onset]


def hurt(fabric: Fabric, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the clients' rows of the pairs that the truth calls hurt."""
    address = {c.address: c.container_id for c in fabric.world.setting.workload.containers}
    pairs = {(pair["src"], pair["dst"]) for pair in truth(fabric)[0]["injected"]["pairs"]}
    server = samples["peer_wire_address"].map(address)
    mine = np.array([pair in pairs for pair in zip(samples["container_id"], server, strict=True)])
    return samples[(samples["role"] == "client") & mine]


def response(samples: pd.DataFrame) -> float:
    return float(samples["response_ms_sum"].sum() / samples["response_ms_count"].sum())


def loss(samples: pd.DataFrame) -> float:
    return float(samples["retransmitted_segments"].sum() / samples["data_segments_sent"].sum())


def test_seeds_choose_stories_by_the_rule():
    names = [name_by_seed(seed, Dice(seed)) for seed in range(60)]
    assert all(name == "nothing" for name in names[::5])
    assert all(name == "decoys" for name in names[1::5])
    faults = [name for n, name in enumerate(names) if n % 5 > 1]
    assert set(faults) == set(FAULTS)
    assert faults.count("dirty_connector") > len(faults) / 2 - 3
    assert Fabric(5).story.name == "nothing"


def test_nothing_means_nothing():
    fabric = ran(5, "nothing")
    samples = rows(fabric, "pair_samples")
    assert truth(fabric) == []
    assert loss(samples) < 1e-4
    assert fabric.world.links.counts.discards[:-1].sum() == 0
    assert (fabric.world.dirt_db(600) == 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dirty_connector_loses_frames_one_way_and_dims_that_way(seed):
    fabric = ran(seed, "dirty_connector")
    fault, link, counts = fabric.story.fault, link_of(fabric), fabric.world.links.counts
    assert fabric.layout.receiver(link).kind != "nic"
    assert 0.003 <= fault.level <= 0.03
    assert counts.errors[link] / counts.sent[link] == pytest.approx(
        fault.level * (1 - fault.onset / 600), rel=0.2
    )
    assert counts.errors[link ^ 1] < 1e-5 * counts.sent[link ^ 1] + 1000 * any(
        fabric.story.decoys.cut_through
    )
    dirt = fabric.world.dirt_db(fault.onset)
    assert 1.0 <= dirt[link] <= 4.0
    assert dirt[link ^ 1] == 0.0
    assert fabric.world.dirt_db(fault.onset - 10)[link] == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dirty_connector_hurts_enough_to_be_seen(seed):
    fabric = ran(seed, "dirty_connector")
    before, after = phases(fabric)
    early = after[after["at"] <= fabric.start + pd.Timedelta(seconds=fabric.story.fault.onset + 205)]
    assert hurt(fabric, early)["retransmitted_segments"].sum() + hurt_servers(fabric, early) >= 100
    assert response(hurt(fabric, after)) > 1.05 * response(hurt(fabric, before))
    assert hurt(fabric, after)["min_rtt_us"].median() == pytest.approx(
        hurt(fabric, before)["min_rtt_us"].median(), rel=0.1
    )


def hurt_servers(fabric: Fabric, samples: pd.DataFrame) -> int:
    """Return what the servers of hurt pairs sent again."""
    clients = hurt(fabric, samples)
    ends = set(zip(clients["local_wire_address"], clients["peer_wire_address"], strict=True))
    servers = samples[samples["role"] == "server"]
    mine = [
        (b, a) in ends
        for a, b in zip(servers["local_wire_address"], servers["peer_wire_address"], strict=True)
    ]
    return int(servers.loc[mine, "retransmitted_segments"].sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_light_that_modules_read_falls_where_the_dirt_is_and_nowhere_else(seed):
    fabric = Fabric(seed, "dirty_connector")
    port = fabric.layout.receiver(link_of(fabric)).number
    quiet = [_light(fabric) for _ in range(20) if fabric.advance(10)]
    fabric.fault()
    dirty = [_light(fabric) for _ in range(20) if fabric.advance(10)]
    change = np.mean(dirty, axis=0) - np.mean(quiet, axis=0)
    assert change[0, port] == pytest.approx(-fabric.story.fault.drop_db, abs=0.5)
    sick = fabric.story.decoys.sick
    others = [n for n in _optical(fabric) if n != port]
    if sick is not None:
        others.remove(fabric.layout.receiver(sick.link).number)
    assert abs(change[0, others]).max() < 0.7
    assert abs(change[1, [*others, port]]).max() < 0.7


def _optical(fabric: Fabric) -> list[int]:
    return [p.number for p in fabric.layout.ports if p.kind in ("machine", "fabric", "peer")]


def _light(fabric: Fabric) -> np.ndarray:
    """Return Rx and Tx by port, dBm."""
    both = np.array([fabric.world.readings.rx, fabric.world.readings.tx], float)
    return 10 * np.log10(np.maximum(both, 1.0) * 1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_congestion_discards_and_delays_but_corrupts_and_dims_nothing(seed):
    fabric = ran(seed, "congestion")
    link, counts = link_of(fabric), fabric.world.links.counts
    seconds = 600 - fabric.story.fault.onset
    before, after = phases(fabric)
    assert fabric.layout.sender(link).kind != "nic"
    assert counts.discards[link] > 1000
    assert (np.delete(counts.discards[:-1], link) == 0).all()
    assert fabric.world.links.queue_us[link] > 100
    assert (fabric.world.dirt_db(599)[link : link + 1] == 0).all()
    assert fabric.world.losses(599)[link] == fabric.world.links.floor[link]
    assert hurt(fabric, after)["retransmitted_segments"].sum() > 20 * seconds / 200
    assert response(hurt(fabric, after)) > 1.1 * response(hurt(fabric, before))


def test_congestion_lifts_the_least_round_trip_of_pairs_that_cannot_avoid_it():
    fabric = ran(3, "congestion")
    assert fabric.layout.receiver(link_of(fabric)).kind == "nic"
    before, after = phases(fabric)
    lifted = hurt(fabric, after)["min_rtt_us"].median() / hurt(fabric, before)["min_rtt_us"].median()
    assert lifted > 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_service_takes_longer_and_the_network_does_not(seed):
    fabric = ran(seed, "slow_service")
    before, after = phases(fabric)
    fault = fabric.story.fault
    assert response(hurt(fabric, after)) > 1.3 * response(hurt(fabric, before))
    assert loss(after) < 1e-4
    servers = [c.container_id for c in fabric.world.setting.workload.replicas(fault.service)]
    slow = [fault.container] if fault.container else servers
    grown = service(after, slow) / service(before, slow)
    assert grown == pytest.approx(fault.level, rel=0.25)


def service(samples: pd.DataFrame, containers: list[str]) -> float:
    mine = samples[samples["container_id"].isin(containers) & (samples["role"] == "server")]
    return float(mine["service_ms_sum"].sum() / mine["service_ms_count"].sum())


@pytest.mark.parametrize("seed", [1, 6, 11, 16, 21, 26])
def test_decoys_hurt_no_pair(seed):
    fabric = ran(seed, "decoys")
    samples = rows(fabric, "pair_samples")
    assert truth(fabric) == []
    assert loss(samples) < 1e-4
    assert fabric.world.links.counts.discards[:-1].sum() == 0


def test_every_kind_of_decoy_comes_up_and_is_what_it_says():
    decoys = [Fabric(seed, "decoys").story.decoys for seed in range(1, 60, 5)]
    assert any(d.sick and d.sick.since == -math.inf for d in decoys)
    assert any(d.sick and d.sick.since > 0 for d in decoys)
    assert any(d.shut for d in decoys)
    assert any(d.dark for d in decoys)
    assert any(d.busy is not None for d in decoys)
    assert any(d.cut_through for d in decoys)


def test_no_pair_crosses_the_sick_link_but_its_errors_and_light_show():
    fabric = run_with_sick_link()
    sick, world = fabric.story.decoys.sick, fabric.world
    flows = world.traffic.flows
    assert not (flows.forward == sick.link).any()
    assert not (flows.reverse == sick.link).any()
    assert world.links.counts.errors[sick.link] > 0
    assert world.dirt_db(0)[sick.link] == sick.drop_db


def run_with_sick_link() -> Fabric:
    for seed in range(1, 100, 5):
        fabric = Fabric(seed, "decoys")
        if fabric.story.decoys.sick and fabric.story.decoys.sick.since < 0:
            fabric.advance(600)
            return fabric
    raise AssertionError("no seed has a sick link")


def test_the_busy_link_is_busy_and_discards_nothing():
    fabric = next(
        f for f in (Fabric(s, "decoys") for s in range(1, 100, 5)) if f.story.decoys.busy is not None
    )
    fabric.advance(300)
    link, world = fabric.story.decoys.busy, fabric.world
    load = world.links.counts.sent_octets[link] * 8 / 300 / world.links.speed[link]
    assert 0.55 < load < 0.85
    assert world.links.counts.discards[link] == 0


def test_a_shut_port_sends_no_light_and_a_dark_one_hears_none():
    fabric = next(f for f in (Fabric(s, "decoys") for s in range(1, 100, 5)) if f.story.decoys.shut)
    readings, decoys = fabric.world.readings, fabric.story.decoys
    assert (readings.rx[[*decoys.shut, *decoys.dark]] == 0).all()
    assert (readings.tx[[*decoys.shut]] == 0).all()
    assert (readings.tx[[*decoys.dark]] > 0).all()


def test_a_repair_ends_loss_and_brings_the_light_back():
    fabric = run(2, "dirty_connector", 7)
    link = link_of(fabric)
    fabric.repair()
    errors = int(fabric.world.links.counts.errors[link])
    fabric.advance(60)
    assert fabric.world.links.counts.errors[link] - errors < 1e-4 * fabric.world.links.counts.sent[link]
    assert fabric.world.dirt_db(fabric.world.second)[link] == 0.0
    told = truth(fabric)[0]["injected"]
    assert told["repaired"] is not None


def test_a_fault_may_be_started_by_hand_and_again():
    fabric = Fabric(2, "dirty_connector")
    fabric.advance(10)
    fabric.fault()
    fabric.advance(10)
    assert fabric.world.links.counts.errors[link_of(fabric)] > 100
    fabric.repair()
    fabric.advance(10)
    fabric.fault()
    assert fabric.world.active(fabric.world.second) is fabric.story.fault


def test_a_fault_that_was_repaired_before_it_came_never_comes():
    fabric = Fabric(2, "dirty_connector")
    fabric.repair()
    fabric.advance(600)
    assert truth(fabric) == []
    assert fabric.world.active(600) is None


def test_a_story_without_a_fault_has_none_to_start():
    with pytest.raises(ValueError, match="has no fault"):
        Fabric(5, "nothing").fault()


@pytest.mark.parametrize("story", FAULTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_is_a_verdict_about_the_fault(seed, story):
    fabric = ran(seed, story)
    [told] = truth(fabric)
    injected = told.pop("injected")
    verdict = Verdict.from_json(told)
    fault = fabric.story.fault
    assert injected["level"] == fault.level
    assert verdict.onset == fabric.start + pd.Timedelta(seconds=fault.onset)
    assert len(injected["pairs"]) > 0
    if story == "slow_service":
        assert (verdict.kind, verdict.root_cause, verdict.link) == ("service", "service", None)
        assert verdict.subject.service == fault.service
        assert verdict.subject.container == fault.container
        return
    assert (verdict.kind, verdict.root_cause) == ("link", story)
    assert verdict.link.receiver(verdict.direction) == fabric.layout.receiver(fault.link).end
    [action] = verdict.actions
    ends = {str(verdict.link.a), str(verdict.link.b)}
    assert f"{action.device} {action.if_name}" in ends
    if story == "congestion":
        sender = verdict.link.sender(verdict.direction)
        assert (verdict.subject.device, verdict.subject.if_name) == (sender.device, sender.if_name)
        assert action.do == "relieve"
    else:
        assert action.do == "inspect_and_clean"
        assert action.side == ("rx" if fault.end else "tx")
