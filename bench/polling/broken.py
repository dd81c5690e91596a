"""Millions of broken replies through the decoder: broken.py [MILLIONS]. The mutations are the tests'."""

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
    count, refused, taken = broken(seed=7, batches=int(millions * 1000))
    assert count == sum(refused.values()) + taken
    cpu = round(time.process_time() - began, 1)
    print(json.dumps({"read": count, "refused": dict(refused.most_common()), "taken": taken, "cpu_s": cpu}))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
