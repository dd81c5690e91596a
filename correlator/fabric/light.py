"""Optical power on every directed link, and what the modules of switches make of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from correlator.fabric.dice import Bools, Dice, Floats, Ints, hex_name, log_uniform
from correlator.fabric.layout import Layout
from correlator.fabric.parameters import Light

DAY = 86_400.0
SENSORS = ("temperature", "voltage", "bias", "tx", "rx")


@dataclass(frozen=True)
class Readings:
    """What the modules say, by port of the fabric, in sensor units: 0.1 µW, 0.1 °C, 10 µA, 10 mV."""

    rx: Ints
    tx: Ints
    bias: Ints
    temperature: Ints
    voltage: Ints


@dataclass(frozen=True)
class Shade:
    """What is wrong with the light: dB lost on each directed link's way, dB that each port no longer sends,
    and the factor on each port's laser current. ``tx_db`` may have a row a moment.
    """

    way_db: Floats
    tx_db: Floats
    bias: Floats

    @classmethod
    def none(cls, layout: Layout) -> Shade:
        """Return light that is as it should be."""
        ports = len(layout.ports)
        return cls(np.zeros(layout.links), np.zeros(ports), np.ones(ports))

    def and_also(self, other: Shade) -> Shade:
        """Return both together."""
        return Shade(self.way_db + other.way_db, self.tx_db + other.tx_db, self.bias * other.bias)


@dataclass
class Modules:
    """A transceiver in every cabled port and in some spare ones; arrays by port or directed link.

    The light that arrives at a port is the sender's power less what the way takes; both are read through
    each module's own steady error, its noise, its ageing and the time of day.
    """

    layout: Layout
    light: Light
    dice: Dice
    fitted: Bools
    lit: Bools
    loss_db: Floats = field(init=False)
    far: Ints = field(init=False)

    def __post_init__(self) -> None:
        rng, light = self.dice.stream("light"), self.light
        ports, cables = len(self.layout.ports), len(self.layout.cables)
        self.power = rng.uniform(*light.tx_power_dbm, ports)
        error = light.monitor_offset_db
        self.rx_error, self.tx_error = (rng.uniform(-error, error, ports) for _ in range(2))
        self.noise = log_uniform(rng, light.reading_noise_db, ports)
        self.drift = rng.normal(0.0, light.drift_db_per_day, (2, ports))
        self.sine = rng.uniform(*light.daily_sine_db, (2, ports))
        self.warmth = rng.uniform(*light.temperature_c, ports)
        self.bias = rng.uniform(*light.bias_ma, ports)
        self.voltage = rng.uniform(*light.voltage_v, ports)
        fiber = np.repeat(rng.uniform(*light.fiber_km, cables), 2) * light.fiber_db_per_km
        self.loss_db = fiber + [self._connectors(rng) for _ in range(2 * cables)]
        self.types = ["10GBASE-LR" if p.speed_bps == 10**10 else "25GBASE-LR" for p in self.layout.ports]
        self.serials = [f"XK{hex_name(rng, 9).upper()}" for _ in self.layout.ports]
        self._wire()

    def _connectors(self, rng: np.random.Generator) -> float:
        count = int(rng.integers(self.light.connectors[0], self.light.connectors[1] + 1))
        return float(rng.uniform(*self.light.connector_db, count).sum())

    def _wire(self) -> None:
        """Note for each port whose light arrives there and over which directed link; −1 for none."""
        self.far = np.full(len(self.layout.ports), -1)
        self.link_in = np.full(len(self.layout.ports), -1)
        for link in range(self.layout.links):
            port = self.layout.receiver(link).number
            self.far[port], self.link_in[port] = self.layout.sender(link).number, link

    def swap(self, port: int) -> None:
        """Put another healthy module into a port: other power, other errors, another serial number."""
        rng, light = self.dice.stream("swap", port), self.light
        self.power[port] = rng.uniform(*light.tx_power_dbm)
        error = light.monitor_offset_db
        self.rx_error[port], self.tx_error[port] = rng.uniform(-error, error, 2)
        self.noise[port] = log_uniform(rng, light.reading_noise_db)
        self.warmth[port], self.bias[port] = rng.uniform(*light.temperature_c), rng.uniform(*light.bias_ma)
        self.serials[port] = f"XK{hex_name(rng, 9).upper()}"

    def means_dbm(self, seconds: float | Floats, shade: Shade) -> tuple[Floats, Floats]:
        """Return the mean Rx and Tx readings by port, dBm; (moments, ports) where there are several moments.

        ``seconds`` count from midnight of the first day, UTC; ``shade`` is what is wrong with the light.
        Without a fibre the values mean nothing.
        """
        at = np.asarray(seconds, float)[..., None] / DAY
        swing = np.sin(2 * np.pi * (at - 0.4))
        way = np.append(self.loss_db + shade.way_db, 0.0)[self.link_in]
        rx = self.power[self.far] - shade.tx_db[..., self.far] - way + self.rx_error
        tx = self.power - shade.tx_db + self.tx_error
        wander = [self.drift[n] * at + self.sine[n] * swing for n in range(2)]
        return rx + wander[0], tx + wander[1]

    def read(self, second: int, day_second: float, shade: Shade) -> Readings:
        """Return one reading of every module. ``day_second`` counts from midnight of the first day, UTC."""
        rng, light, ports = self.dice.stream("reading", second), self.light, len(self.layout.ports)
        rx, tx = self.means_dbm(day_second, shade)
        rx, tx = (value + rng.normal(0.0, 1.0, ports) * self.noise for value in (rx, tx))
        warm = self.warmth + light.temperature_sine_c * np.sin(2 * np.pi * (day_second / DAY - 0.4))
        shining = self.fitted & self.lit
        dark = ~shining | (self.far < 0)
        return Readings(
            np.where(dark, 0, self._raw(rx)),
            np.where(shining, self._raw(tx), 0),
            np.where(shining, self._noisy(rng, self.bias * shade.bias, light.bias_noise_ma, 100), 0),
            self._noisy(rng, warm, light.temperature_noise_c, 10),
            self._noisy(rng, self.voltage, light.voltage_noise_v, 100),
        )

    def _raw(self, dbm: Floats) -> Ints:
        """Return power in steps of the module's converter."""
        raw: Ints = np.rint(10 ** (dbm / 10) * 1e-3 / self.light.quantum_w).astype(np.int64)
        return raw

    @staticmethod
    def _noisy(rng: np.random.Generator, mean: Floats, noise: float, scale: int) -> Ints:
        raw: Ints = np.rint((mean + rng.normal(0.0, noise, len(mean))) * scale).astype(np.int64)
        return raw
