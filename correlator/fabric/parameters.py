"""Every physical quantity of the simulated fabric, with the range it is drawn from and the reason for it.

A pair of numbers is a range: each thing (module, link, service, …) draws its own value from it, uniformly
unless the comment says otherwise. Sources: [O] ranges of optic types (IEEE 802.3 clause 52 and vendors'
transceiver guides), [C] CorrOpt, SIGCOMM 2017, [L] measured on Linux 6.18 in namespaces, [K] Linux defaults,
[A] an assumption that we find ordinary in a data centre.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Light:
    """Optical power, 10GBASE-LR shaped: one lane, dBm and dB."""

    tx_power_dbm: Range = (-6.0, -2.0)  # [O] the type sends -8.2 … +0.5; shipped modules keep to the middle
    fiber_km: Range = (0.02, 2.0)  # [A] within and between halls
    fiber_db_per_km: float = 0.4  # [O] OS2
    connectors: tuple[int, int] = (2, 4)  # [A] both ends and up to two patch panels
    connector_db: Range = (0.1, 0.5)  # [O] 0.3 typical, 0.75 the most that TIA-568 allows
    monitor_offset_db: float = 3.0  # [O] a module's monitor may be wrong by ±3 dB, and stays so
    reading_noise_db: Range = (0.05, 0.5)  # [A] standard deviation of one reading; log-uniform by module
    drift_db_per_day: float = 0.01  # [A] standard deviation of a module's steady ageing
    daily_sine_db: Range = (0.05, 0.3)  # [A] warm afternoons
    quantum_w: float = 1e-7  # [O] SFF-8472 counts power in 0.1 µW
    temperature_c: Range = (28.0, 48.0)  # [A]
    temperature_sine_c: float = 2.0  # [A]
    temperature_noise_c: float = 0.2  # [A]
    bias_ma: Range = (20.0, 45.0)  # [O] DFB lasers
    bias_noise_ma: float = 0.05  # [A]
    voltage_v: Range = (3.25, 3.35)  # [O] 3.3 V supply
    voltage_noise_v: float = 0.003  # [A]
    rx_limits_dbm: tuple[float, float, float, float] = (
        -14.4,
        -16.4,
        0.5,
        2.5,
    )  # [O] low warn, low crit, high …
    tx_limits_dbm: tuple[float, float, float, float] = (-8.2, -9.2, 0.5, 1.5)  # [O]


@dataclass(frozen=True)
class Wire:
    """Links and what travels on them besides the containers' packets."""

    speeds_bps: tuple[int, ...] = (10_000_000_000, 25_000_000_000)  # [A] one speed a fabric
    loss_floor: Range = (1e-8, 1e-6)  # [C] two thirds of lossy links lie below 1e-5; log-uniform by direction
    machine_load: Range = (0.02, 0.10)  # [A] background of a machine, share of its speed, each way
    spine_skew: float = 30.0  # [A] Dirichlet weight: equal-cost shares differ by some 10 %
    load_noise: float = 0.08  # [A] standard deviation of ten-second averages
    load_memory_s: float = 60.0  # [A] how long a burst lasts
    stream_noise: float = 0.01  # [A] of the big streams that fill a link: they adapt to it
    packet_octets: Range = (700.0, 1100.0)  # [A] mean frame of background traffic, by link
    control_pps: Range = (20.0, 200.0)  # [A] keep-alives of every live link, each way; log-uniform
    idle_link_pps: Range = (200.0, 1000.0)  # [A] control packets between two spines
    multicast_share: float = 0.002  # [A]
    broadcast_share: float = 0.001  # [A]
    buffer_octets: float = 1_000_000.0  # [A] an egress queue's share of a shared-buffer ASIC
    emptiest_queue: float = 0.5  # [A] least queue of ten seconds, as a share of the mean: senders adapt
    usual_octets: float = 900.0  # [A] the frame that a loss rate by size is told for
    corrected: Range = (1e-9, 1e-6)  # [A] codewords that error correction mends, of all; log-uniform
    codeword_bits: int = 5280  # [O] RS(528,514): 528 symbols of 10 bits
    symbol_share: float = 0.2  # [A] corrupted frames that also show a symbol error
    hop_us: Range = (0.6, 1.5)  # [A] a switch's latency, store and forward of one frame included
    stack_us: Range = (12.0, 35.0)  # [L] one host's part of a round trip (35 … 60 µs seen in all)


@dataclass(frozen=True)
class Tcp:
    """What loss does to a connection (Linux)."""

    mss: int = 1448  # [K] 1500 octets of MTU less headers and timestamps
    frame_octets: int = 70  # [K] Ethernet with FCS, IPv4, TCP with timestamps, around a segment
    rto_ms: Range = (200.0, 216.0)  # [K] TCP_RTO_MIN 200 ms, and the timer's grain
    rto_single: Range = (0.85, 1.0)  # [L] lost one-segment messages that wait for the timer; by seed
    rto_many: Range = (0.2, 0.5)  # [A] lost segments of longer messages that do (tail losses); by seed
    recovery_ms: Range = (0.5, 10.0)  # [K] fast retransmit or tail loss probe instead
    resent_by_other_end: Range = (0.05, 0.9)  # [L] the other end resends too, needlessly; share, by seed
    lost_ack_resent: float = 0.05  # [L] a lost pure acknowledgement is rarely missed
    needless: Range = (1e-6, 5e-5)  # [L] retransmissions per segment without any loss; log-uniform by pair
    answer_wait_us: float = 22_000.0  # [L] what waiting for answers adds to a server's smoothed RTT
    connection_life_s: Range = (60.0, 600.0)  # [A] mean life of a pooled connection, by seed


@dataclass(frozen=True)
class Work:
    """Services, containers and how the agent sees them."""

    service_sigma: Range = (0.25, 0.6)  # [A] of the log-normal time in a service
    service_noise: float = 0.03  # [A] slow wander of a service's speed
    service_memory_s: float = 300.0  # [A]
    network_jitter_us: Range = (15.0, 80.0)  # [L] mean extra delay of an exchange in host queues; by host
    coverage: Range = (0.5, 0.95)  # [L] exchanges whose time the "difference" method catches; by pair
    service_leak: Range = (0.0, 0.1)  # [L] answers' stalls that the method takes for service; by seed
    interval_s: int = 10  # the agent's interval
    life_s: Range = (1.0, 20.0)  # short-lived containers
    pause_s: float = 8.0  # [A] mean time between two of them on a host
    clock_skew_s: Range = (-0.05, 0.05)  # [A] NTP
    day_swing: float = 0.3  # [A] daily sine of all traffic
    weekend: float = 0.8  # [A] traffic of Saturday and Sunday
    crowded: float = 0.0  # share of the long-lived containers that stand in the first two racks besides


@dataclass(frozen=True)
class Trouble:
    """The faults and decoys."""

    dirty_loss: Range = (3e-3, 3e-2)  # [C] the upper buckets of corrupting links; log-uniform
    dirty_drop_db: Range = (1.0, 4.0)  # [O] a cleaned connector gave 3.8 dB back
    lost_segments: float = 200.0  # the least that an affected link's pairs lose in 200 s, so that it matters
    congestion_loss: Range = (3e-3, 3e-2)  # [A] mean share of packets discarded; log-uniform
    slow_factor: Range = (2.0, 6.0)  # growth of the service part
    busy_load: Range = (0.60, 0.80)  # the busy link that is no fault
    sick_loss: Range = (1e-4, 1e-2)  # [C] the sick link that hurts nobody; log-uniform
    sick_drop_db: Range = (1.0, 4.0)  # [O]
    fiber_drop_db: Range = (1.0, 5.0)  # [A] a bend or a crack, one strand
    both_strands: float = 0.85  # [C] damaged cables are mostly low at both ends; the rest looks like dirt
    strand_ratio: Range = (0.5, 1.5)  # [A] what the other strand loses, against the first
    laser_drop_db: Range = (1.5, 5.0)  # [O] a transmitter that leaves its range
    bias_shown: float = 0.8  # [A] dying lasers whose current climbs (it is held at a limit otherwise)
    bias_factor: Range = (1.15, 1.8)  # [A] 65 mA against 20 … 45 mA seen before the end
    fade_db_per_day: Range = (0.0, 0.15)  # [A] before the end: wear is slow, dirt is a step
    bad_both_ways: float = 0.1  # [C] 8 % of corrupting links corrupt in both directions
    shared_spread: float = 0.25  # [C] co-located links corrupt at similar rates; standard deviation of ln
    host_ms: Range = (2.0, 15.0)  # [A] mean extra delay of an exchange at a slow host; log-uniform
    host_service: Range = (1.0, 1.5)  # [A] factor on the time of the services that run there
    host_loss: Range = (1e-4, 3e-3)  # [A] of packets that find the host's backlog full; log-uniform
    restart_s: Range = (20.0, 90.0)  # [A] a switch's software is silent for so long
    fec_drop_db: Range = (0.8, 2.5)  # [O] within the budget that error correction has
    fec_growth: Range = (1.3, 3.0)  # [A] factor a minute on corrected codewords
    bursty: float = 0.3  # [A] share of the corrupting faults that come in bursts
    burst: Range = (0.2, 0.7)  # [A] share of time that the bursts last
    burst_s: int = 10  # [A] length of one
    by_size: float = 0.5  # [A] faults that are bit errors: long frames suffer more
    onset_minutes: tuple[int, int] = (4, 6)
    decoy_share: float = 0.7  # how often a kind of decoy is there


@dataclass(frozen=True)
class Physics:
    """All of it."""

    light: Light = Light()
    wire: Wire = Wire()
    tcp: Tcp = Tcp()
    work: Work = Work()
    trouble: Trouble = Trouble()
