"""The causes beyond dirt: what each one shows, what it hides, and that the truth names it."""

import json

import numpy as np
import pytest
from a_fabric import link_of, ran, rows

from correlator.fabric import ber
from correlator.fabric.effects import intensity
from correlator.fabric.faults import HARMLESS, STORIES
from correlator.fabric.history import history
from correlator.fabric.simulation import Fabric
from correlator.fabric.truth import truth
from correlator.model import Verdict

NEW = STORIES[5:]
SEED = 2


@pytest.mark.parametrize("story", NEW)
def test_every_story_tells_a_truth_that_is_a_verdict_or_none(story):
    told = truth(ran(SEED, story))
    assert len(told) == (0 if story in HARMLESS else 1)
    for document in told:
        injected = document.pop("injected")
        verdict = Verdict.from_json(json.loads(json.dumps(document)))
        assert injected["story"] == story
        assert injected["pairs"]
        assert verdict.root_cause == {"slow_host": "host"}.get(story, story)


def test_a_damaged_cable_mostly_dims_both_strands_and_leaves_what_is_sent():
    fabrics = [Fabric(SEED, "damaged_fiber", fault_seed=n) for n in range(12)]
    both = 0
    for fabric in fabrics:
        link, shade = link_of(fabric), fabric.world.shade(fabric.story.fault.onset)
        assert shade.way_db[link] >= 1.0
        assert (shade.tx_db == 0.0).all()
        both += bool(shade.way_db[link ^ 1] > 0.5)
    assert both >= 8


def test_a_failing_transmitter_sends_less_by_more_current_and_has_been_fading():
    fabric = Fabric(SEED, "failing_transmitter")
    fault, sender = fabric.story.fault, fabric.layout.sender(link_of(fabric)).number
    before, after = fabric.world.shade(fault.onset - 10), fabric.world.shade(fault.onset)
    assert after.tx_db[sender] - before.tx_db[sender] == pytest.approx(fault.drop_db, abs=1e-3)
    assert after.bias[sender] >= 1.0
    assert before.tx_db[sender] == pytest.approx(7 * fault.fade_db_per_day, rel=0.01)
    assert np.count_nonzero(after.tx_db) == 1


def test_a_bad_transceiver_loses_frames_and_no_light():
    fabric = ran(SEED, "bad_transceiver")
    counts, link = fabric.world.links.counts, link_of(fabric)
    assert counts.errors[link] > 20
    shade = fabric.world.shade(599)
    decoy = fabric.story.decoys.sick
    assert np.flatnonzero(shade.way_db).tolist() == ([decoy.link] if decoy else [])
    assert (shade.tx_db == 0.0).all()


def test_a_shared_component_hurts_neighbouring_ports_alike():
    fabric = ran(SEED, "shared_component")
    marks = fabric.story.fault.marks
    assert len(marks) > 1
    rates = [mark.loss for mark in marks]
    assert max(rates) < 4 * min(rates)
    told = truth(fabric)[0]
    assert (told["kind"], told["link"]) == ("class", None)
    assert len(told["candidates"]) == len(marks)
    assert told["subject"]["device"]


def test_a_silent_drop_is_counted_by_nobody():
    fabric = ran(SEED, "silent_drop")
    counts, link = fabric.world.links.counts, link_of(fabric)
    assert counts.errors[link] < 1e-4 * counts.sent[link] + 1000 * any(fabric.story.decoys.cut_through)
    assert counts.discards[link] == 0
    sent = rows(fabric, "pair_samples")
    assert sent["retransmitted_segments"].sum() > 100


def test_a_slow_host_makes_its_own_pairs_wait_and_no_others():
    fabric = ran(SEED, "slow_host")
    samples = rows(fabric, "pair_samples")
    name = fabric.layout.hosts[fabric.story.fault.host].name
    since = fabric.start + np.timedelta64(fabric.story.fault.onset + 10, "s")
    clients = samples[(samples["role"] == "client") & (samples["at"] > since)]
    per = clients.groupby("host")[["response_ms_sum", "response_ms_count"]].sum()
    mean = per["response_ms_sum"] / per["response_ms_count"]
    early = samples[(samples["role"] == "client") & (samples["at"] <= since)]
    was = early.groupby("host")[["response_ms_sum", "response_ms_count"]].sum()
    growth = mean - was["response_ms_sum"] / was["response_ms_count"]
    assert growth.idxmax() == name
    assert growth[name] > 1.0


def test_a_reboot_clears_counters_is_silent_for_a_while_and_loses_nothing():
    fabric = Fabric(SEED, "reboot")
    fabric.advance(60)
    switch = fabric.layout.switches[fabric.story.fault.switch]
    port = next(n for n in switch.ports if fabric.interfaces.links[0, n] >= 0)
    before = fabric.interfaces.good(port, 0, fabric.world.second)
    fabric.fault()
    fabric.advance(10)
    assert fabric.switches[switch.name].silent
    assert fabric.interfaces.good(port, 0, fabric.world.second) == 0 < before
    assert fabric.interfaces.uptime(switch.number, fabric.world.second) == 0
    fabric.advance(110)
    assert not fabric.switches[switch.name].silent
    assert fabric.interfaces.good(port, 0, fabric.world.second) > 0
    assert fabric.interfaces.uptime(switch.number, fabric.world.second) == 11_000


def test_a_swapped_module_has_another_serial_number_and_other_light():
    fabric = Fabric(SEED, "module_swap")
    port = fabric.layout.ports[fabric.story.fault.port]
    old, power = fabric.world.modules.serials[port.number], fabric.world.modules.power[port.number]
    fabric.fault()
    fabric.advance(10)
    new = fabric.world.modules.serials[port.number]
    assert new != old
    assert fabric.world.modules.power[port.number] != power
    shown = [agent.mib.at(n) for agent in fabric.switches.values() for n in range(len(agent.mib.oids))]
    assert any(ber.octets(new) in one for one in shown)
    assert not any(ber.octets(old) in one for one in shown)


def test_corrected_codewords_grow_on_one_link_before_anything_is_lost():
    fabric, quiet = ran(SEED, "fec"), ran(SEED, "nothing")
    link = link_of(fabric)
    ratio = fabric.world.corrected.total / np.maximum(quiet.world.corrected.total, 1)
    assert ratio[link] > 1.5
    assert np.delete(ratio, link) == pytest.approx(1.0, abs=0.5)
    assert fabric.world.losses(599)[link] == fabric.world.links.floor[link]


def test_bursts_lose_as_much_as_an_even_fault_on_average():
    fabric = next(
        f for n in range(40) if (f := Fabric(SEED, "bad_transceiver", fault_seed=n)).story.fault.burst < 1.0
    )
    trouble, dice = fabric.world.setting.physics.trouble, fabric.world.setting.dice
    factors = [intensity(fabric.story.fault, 10 * n, dice, trouble) for n in range(3000)]
    assert np.mean(factors) == pytest.approx(1.0, rel=0.1)
    assert min(factors) == 0.0


def test_a_fading_laser_shows_in_the_hours_before():
    fabric = next(
        f
        for n in range(20)
        if (f := Fabric(SEED, "failing_transmitter", fault_seed=n)).story.fault.fade_db_per_day > 0.08
        and f.layout.sender(link_of(f)).kind != "nic"
    )
    port = fabric.layout.sender(link_of(fabric))
    hours = history(fabric.world)["optics_hours"]
    mine = hours[(hours["device"] == port.device) & (hours["if_name"] == port.if_name)]
    power = mine[mine["metric"] == "tx_power_dbm"]
    mean = (power["sum"] / power["count"]).to_numpy()
    assert mean[:24].mean() - mean[-24:].mean() > 0.3
