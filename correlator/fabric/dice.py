"""Seeded randomness, one independent stream a purpose: another story does not re-draw the rest."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from correlator.fabric.parameters import Range

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Dice:
    """Streams that depend on nothing but the seed, the purpose and the moment."""

    seed: int

    def stream(self, *purpose: str | int) -> np.random.Generator:
        """Return a generator of its own for ``purpose``: a name, and for what moves the second of the run."""
        words = [zlib.crc32(p.encode()) if isinstance(p, str) else p for p in purpose]
        return np.random.default_rng([self.seed, *words])


def log_uniform(rng: np.random.Generator, span: Range, size: Any = None) -> Any:
    """Return values whose logarithm is uniform over ``span``; a float where ``size`` is None."""
    return np.exp(rng.uniform(np.log(span[0]), np.log(span[1]), size))


def hex_name(rng: np.random.Generator, digits: int) -> str:
    """Return ``digits`` random hexadecimal digits."""
    return rng.bytes((digits + 1) // 2).hex()[:digits]
