"""Directed links: every frame that leaves arrives or is lost, and whoever loses it counts it."""

import numpy as np
import pytest

from correlator.fabric.dice import Dice
from correlator.fabric.layout import Size, plan
from correlator.fabric.links import Links
from correlator.fabric.parameters import Wire

LAYOUT = plan(Size(2, 2, 2), Dice(1), Wire())
HOST1, HOST2 = LAYOUT.hosts[0].number, LAYOUT.hosts[2].number
PATH = [int(LAYOUT.out_of[HOST1]), int(LAYOUT.up[0, 0]), int(LAYOUT.down[0, 1]), int(LAYOUT.into[HOST2])]


def links() -> Links:
    made = Links(LAYOUT, Wire(), Dice(1))
    made.loss[:] = 0.0
    return made


def send(made: Links, packets: int) -> int:
    lost = made.carry(np.array([PATH]), np.array([packets]), np.array([1000]), np.random.default_rng(1))
    return int(lost[0])


def test_what_leaves_arrives_or_is_counted_as_an_error_at_the_receiving_end():
    made = links()
    made.loss[PATH[1]] = 0.01
    lost = send(made, 100_000)
    counts = made.counts
    assert 900 < lost < 1100
    assert counts.errors[PATH[1]] == lost
    assert counts.sent[PATH[1]] == 100_000
    assert counts.received[PATH[1]] == counts.sent[PATH[2]] == 100_000 - lost
    assert counts.sent_octets[PATH[0]] == 100_000_000


def test_a_store_and_forward_switch_drops_a_bad_frame():
    made = links()
    made.loss[PATH[1]] = 0.01
    send(made, 100_000)
    assert made.counts.errors[PATH[2]] == made.counts.errors[PATH[3]] == 0


def test_a_cut_through_switch_passes_a_bad_frame_on_and_the_next_interface_counts_it_again():
    made = links()
    made.loss[PATH[1]] = 0.01
    made.cut_through[PATH[1]] = True
    lost = send(made, 100_000)
    counts = made.counts
    assert counts.spoiled[PATH[2]] == counts.errors[PATH[2]] == lost
    assert counts.errors[PATH[3]] == 0
    assert counts.sent[PATH[2]] + counts.spoiled[PATH[2]] == counts.received[PATH[2]] + counts.errors[PATH[2]]


def test_a_full_queue_discards_what_finds_no_room_and_says_so_at_the_sender():
    made = links()
    offered = np.zeros(LAYOUT.links + 1)
    offered[PATH[1]] = made.speed[PATH[1]] / (1 - 0.01)
    made.load(offered, np.full(LAYOUT.links + 1, 1000.0))
    assert made.drop[PATH[1]] == pytest.approx(0.01, rel=0.05)
    lost = send(made, 100_000)
    assert made.counts.discards[PATH[1]] == lost > 0
    assert made.counts.errors.sum() == 0


def test_four_fifths_of_load_neither_discard_nor_delay_much():
    made = links()
    made.load(made.speed * 0.8, np.full(LAYOUT.links + 1, 1000.0))
    assert made.drop.max() < 1e-12
    assert 0.0 < made.queue_us[PATH[1]] < 20.0


def test_a_host_waits_where_a_switch_discards():
    made = links()
    made.load(made.speed * 1.2, np.full(LAYOUT.links + 1, 1000.0))
    assert made.drop[PATH[0]] == 0.0
    assert made.drop[PATH[1]] == pytest.approx(1 - 1 / 1.2, rel=1e-3)
    assert np.isfinite(made.queue_us).all()


def test_containers_on_one_host_cross_no_link():
    made = links()
    none = [[LAYOUT.links] * 4]
    made.loss[:-1] = 1.0
    lost = made.carry(np.array(none), np.array([1000]), np.array([1000]), np.random.default_rng(1))
    assert lost[0] == 0
    assert made.counts.sent[:-1].sum() == 0
