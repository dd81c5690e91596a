"""Millions of broken replies through the decoder: broken.py [MILLIONS]. The mutations are the tests'.

Half of them are replies of a switch that has all there is, half of one whose replies are also read by the
shape of the last ones: what is so taken at once must be what the long way takes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "snmp"))
from mutations import broken


def main(millions: float) -> None:
    """Print how many were read, refused by reason and taken; anything else ends with a traceback."""
    began = time.process_time()
    for plain in (False, True):
        count, refused, taken, quickly = broken(seed=7, batches=int(millions * 500), plain=plain)
        assert count == sum(refused.values()) + taken
        told = {"read": count, "refused": dict(refused.most_common()), "taken": taken, "at_once": quickly}
        print(json.dumps(told | {"plain": plain, "cpu_s": round(time.process_time() - began, 1)}))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
