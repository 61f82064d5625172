"""python -m benchmarks [latency timers rebuild memory growth scaling throughput]: all of them by default.

PERDURE_BENCH=sqlite,postgresql,mysql chooses the databases of those that run on several.
"""

from __future__ import annotations

import sys

from benchmarks import growth, latency, memory, rebuild, scaling, throughput, timers

PARTS = {
    "latency": latency.main,
    "timers": timers.main,
    "rebuild": rebuild.main,
    "memory": memory.main,
    "growth": growth.main,
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
