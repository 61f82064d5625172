"""A process that migrates the file it is given once it is told to, and says which versions it applied."""

from __future__ import annotations

import sqlite3
import sys

from perdure_adapters.sqlite.migrations import migrate

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
    sys.stdout.write(" ".join(migrate(connection)) + "\n")
    connection.close()
