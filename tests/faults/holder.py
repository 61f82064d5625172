"""Holds the write lock of a database file until it is killed."""

from __future__ import annotations

import signal
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("begin exclusive")
print("held", flush=True)
signal.pause()
