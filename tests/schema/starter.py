"""A process that migrates the file it is given once it is told to, and says which versions it applied."""

from __future__ import annotations

import sys

from perdure_adapters.sqlite.migrations import migrate
from perdure_adapters.sqlite.thread import connect

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    connection = connect(sys.argv[1])
    sys.stdout.write(" ".join(migrate(connection)) + "\n")
    connection.close()
