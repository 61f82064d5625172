"""Random workflows; how most of them end can be told beforehand."""

from simulation.programs import children, effects, messaging, sagas, steps, waiting
from simulation.programs.activities import add, book, come_again, multiply, refuse, tell
from simulation.programs.kinds import Plan, program
from simulation.programs.making import Company, make
from simulation.programs.prediction import Foresight, foresee, predict
from simulation.programs.servers import begun, chain, server

__all__ = [
    "Company",
    "Foresight",
    "Plan",
    "add",
    "begun",
    "book",
    "chain",
    "children",
    "come_again",
    "effects",
    "foresee",
    "make",
    "messaging",
    "multiply",
    "predict",
    "program",
    "refuse",
    "sagas",
    "server",
    "steps",
    "tell",
    "waiting",
]
