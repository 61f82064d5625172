"""python -m benchmarks [PART...]: all of the parts below by default.

PERDURE_BENCH=sqlite,postgresql,mysql chooses the databases of those that run on several.
"""

from __future__ import annotations

import sys

from benchmarks import (
    crowd,
    effects,
    growth,
    hooks,
    ingress,
    latency,
    memory,
    messaging,
    rebuild,
    scaling,
    throughput,
    timers,
)

PARTS = {
    "latency": latency.main,
    "timers": timers.main,
    "crowd": crowd.main,
    "rebuild": rebuild.main,
    "memory": memory.main,
    "growth": growth.main,
    "messaging": messaging.main,
    "effects": effects.main,
    "hooks": hooks.main,
    "ingress": ingress.main,
    "scaling": scaling.main,
    "throughput": throughput.main,  # last: it settles the garbage collector for good
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"no benchmark called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for name in wanted:
        PARTS[name]()


if __name__ == "__main__":
    main()
