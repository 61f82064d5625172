"""Many workers, a hostile world, and one seed that decides everything in it."""

from perdure.testing.simulation.simulate import simulate

__all__ = ["simulate"]
