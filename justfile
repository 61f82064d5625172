# What can be done here; `just demo`, `just test` and `just check` are the ones to know.
default:
    @just --list

# The main job: orders that survive kill -9.
demo *args:
    uv run perdure demo {{args}}

# All tests, under asyncio and trio.
test *args:
    uv run pytest {{args}}

# Everything that must be green before a commit lands on main.
check: lint types test

lint:
    uv run ruff check .
    uv run ruff format --check .
    uv run lint-imports

types:
    uv run mypy
    uv run pyright

# Format, and mend what can be mended by itself.
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Random workflows in hostile worlds: as many seeds as you like, on all processors.
simulate seeds="10000" first="0":
    PYTHONPATH=tests uv run python -m simulation {{seeds}} {{first}}

# One seed again, as small as it gets.
simulate-seed seed:
    PYTHONPATH=tests uv run python -m simulation 1 {{seed}}

# Speed, as ratios to what is measured in the same run.
bench *args:
    uv run python -m benchmarks {{args}}
