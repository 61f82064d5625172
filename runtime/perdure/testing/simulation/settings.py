"""What the pytest plugin sets for every simulation of the process."""

#: How many worlds `simulate` tries.
default_seeds = 100
