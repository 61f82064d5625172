"""The shell around the machine: turns, group commit, activities, timers, leases."""
