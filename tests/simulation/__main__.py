"""Many seeds: python -m simulation 10000 [FIRST]; on all processors."""

from __future__ import annotations

import multiprocessing
import sys
import time

from simulation.worlds import check_seed


def _try(seed: int) -> str | None:
    try:
        check_seed(seed)
    except AssertionError as error:
        return str(error)
    return None


def main(count: int, first: int = 0) -> int:
    began = time.monotonic()
    failed = 0
    with multiprocessing.Pool() as pool:
        for number, said in enumerate(pool.imap(_try, range(first, first + count), chunksize=5), 1):
            if said is not None:
                failed += 1
                print(said, flush=True)
            if number % 100 == 0:
                print(f"{number} seeds, {failed} failed, {number / (time.monotonic() - began):.0f} seeds/s", flush=True)
    print(f"{count} seeds, {failed} failed, {count / (time.monotonic() - began):.1f} seeds/s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:])))
