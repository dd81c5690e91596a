"""Kinds of requests as arrays: what to send, and which bytes must stand in the answers to each.

Of every varbind of an answer the OID is known beforehand, of names the value too: these bytes are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

WORDS = 4  # of 8 bytes, compared for every varbind; longer ones take a second look
BLOCK = 8 * WORDS
HEADER = 2  # bytes of a varbind's tag and length
MOST_GIVEN = BLOCK - HEADER  # bytes behind it that the first look compares

NUMBER, COUNTER, EXACT, ANY = 0, 1, 2, 3
"""What a varbind may hold: any integer, an integer from 0, the very bytes expected, an integer or octets."""


def _given() -> Words:
    """Return which of the first bytes of a varbind count: its tag, and so many behind its header."""
    octets = np.zeros((MOST_GIVEN + 1, BLOCK), np.uint8)
    octets[:, 0] = 255
    for count, row in enumerate(octets):
        row[HEADER : HEADER + count] = 255
    return octets.view("<u8")


GIVEN = _given()


@dataclass(frozen=True, eq=False)
class Kinds:
    """Kinds of requests, one a row. Their answers' varbinds are cells of rows of ``steps``.

    ``template`` is the request, ``length`` bytes long, whose request-id stands at ``id_at``. Answers have
    ``varbinds``, the first of them ``scalars``; GETBULK's then rows of ``width``, which is 0 for a GET.
    ``slot`` says where a cell's value goes, counted from the device's first slot, -1 for nowhere; ``rows``
    (kinds × rows) which rows of the device an answer tells. ``octets`` are the first BLOCK bytes of each
    cell, with as many in front of the first and behind the last; ``exact`` is how many behind the header are
    given, ``want`` what may follow. ``tail`` points to the further bytes of long cells in ``tails`` and
    ``tail_masks``, -1 for none.
    """

    template: Bytes
    length: Ints
    id_at: Ints
    varbinds: Ints
    scalars: Ints
    width: Ints
    rows: Ints
    slot: npt.NDArray[np.int32]
    octets: Bytes
    exact: npt.NDArray[np.int16]
    want: Bytes
    tail: npt.NDArray[np.int32]
    tails: Words
    tail_masks: Words

    @property
    def steps(self) -> int:
        """How many varbinds an answer has at most."""
        return int(self.slot.shape[1])

    def cells(self, kind: Ints, steps: int) -> Ints:
        """Return the numbers of the first cells of some kinds: kinds × steps."""
        numbers: Ints = (kind * self.steps)[:, None] + np.arange(steps)
        return numbers

    @cached_property
    def expect(self) -> Words:
        """The first words of each cell; those of its bytes count that GIVEN says."""
        return self.octets[BLOCK:-BLOCK].view("<u8").reshape(-1, WORDS)

    @cached_property
    def blocks(self) -> npt.NDArray[Any]:
        """The same bytes, BLOCK from any place on: cell n begins at (n + 1) * BLOCK."""
        return np.ndarray((len(self.octets) - BLOCK,), f"V{BLOCK}", self.octets, 0, (1,))

    @cached_property
    def whole(self) -> Ints:
        """How many rows a full answer has; a GET's is one."""
        rows = (self.varbinds - self.scalars) // np.maximum(self.width, 1)
        return np.where(self.width > 0, rows, 1)

    def write(self, kind: Ints, ids: Ints, messages: Bytes) -> None:
        """Put the requests of some kinds with their request-ids into ``messages``, one a row."""
        self.template.take(kind, axis=0, out=messages, mode="clip")
        octets = ids.astype(">u4").view(np.uint8).reshape(-1, 4)
        if self._id_at is not None:
            messages[:, self._id_at : self._id_at + 4] = octets
        else:
            messages[np.arange(len(kind))[:, None], self.id_at[kind][:, None] + np.arange(4)] = octets

    @cached_property
    def _id_at(self) -> int | None:
        """Where the request-id stands, if it is one place for all kinds."""
        return int(self.id_at[0]) if len(self.id_at) and (self.id_at == self.id_at[0]).all() else None
