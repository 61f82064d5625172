"""Sans-IO: who should own which partition, given members, leases and time."""
