"""python -m blocking.scripts URL WHAT: programs without an event loop."""

from __future__ import annotations

import os
import sys
import warnings

from perdure import App
from using.workflows import ALL, collect, quick

app = App(sys.argv[1], workflows=ALL, partitions=8)


def forgets() -> None:
    """Never closes it."""
    print(app.sync.start(quick.options(id="forgotten"), "x").id, flush=True)


def forks() -> None:
    """The client is open in the parent, and has something under way in another thread."""
    app.sync.start(quick.options(id="parent before"), "x")
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking where there are threads: what is shown here
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                with app.sync:
                    assert app.sync.handle(quick, "parent before").result(timeout=60) == "x"
                    print(app.sync.start(quick, str(number)).result(timeout=60), flush=True)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(pid)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print(ends, app.sync.start(quick, "parent after").result(timeout=60), flush=True)


def waits() -> None:
    """Until somebody presses Ctrl-C."""
    handle = app.sync.start(collect.options(id="waiting"), "end")
    try:
        print("waiting", flush=True)
        handle.result()
    except KeyboardInterrupt:
        print(handle.info().status, flush=True)


globals()[sys.argv[2]]()
