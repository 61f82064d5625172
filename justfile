# What can be done here; `just demo`, `just test` and `just check` are the ones to know.
default:
    @just --list

# The main job: orders that survive kill -9.
demo *args:
    uv run perdure demo {{args}}

# All tests, under asyncio and trio.
test *args:
    uv run pytest {{args}}

# As `just test`, with every test on every store under both event loops, and the long runs.
test-all *args:
    PERDURE_LONG=1 uv run pytest {{args}}

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

# The generated part of docs/reference/command-line.md.
manual:
    PYTHONPATH=tests uv run python -m cli.manual

# Random workflows in hostile worlds: as many seeds as you like, on all processors.
simulate seeds="10000" first="0":
    PYTHONPATH=tests uv run python -m simulation {{seeds}} {{first}}

# One seed again, as small as it gets.
simulate-seed seed:
    PYTHONPATH=tests uv run python -m simulation 1 {{seed}}

# Real workers on real databases, killed, stopped and cut off under a load; --help lists what else.
chaos *args:
    PYTHONPATH=tests uv run python -m chaos {{args}}

# Speed, as ratios to what is measured in the same run; PERDURE_BENCH=postgresql or mysql for the others.
bench *args:
    uv run python -m benchmarks {{args}}

# A PostgreSQL and a MariaDB for tests and benchmarks: started, where docker runs; else how to get them.
db-up:
    #!/usr/bin/env bash
    set -euo pipefail
    postgresql=(docker run --detach --name perdure-postgresql --publish 127.0.0.1:5432:5432
        --env POSTGRES_HOST_AUTH_METHOD=trust postgres:17)
    mariadb=(docker run --detach --name perdure-mariadb --publish 127.0.0.1:3306:3306
        --env MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb:11)
    if docker info >/dev/null 2>&1; then
        docker start perdure-postgresql 2>/dev/null || "${postgresql[@]}"
        docker start perdure-mariadb 2>/dev/null || "${mariadb[@]}"
        echo "Both are up in some seconds, where the tests look. To remove them:"
        echo "  docker rm --force --volumes perdure-postgresql perdure-mariadb"
    else
        echo "docker does not run here. Where it does:"
        printf '  %s\n' "${postgresql[*]}" "${mariadb[*]}"
        echo "Or install PostgreSQL and MariaDB in the usual way. Servers in other places than these are named by"
        echo "  export PERDURE_TEST_POSTGRESQL=postgresql://postgres@127.0.0.1:5432/postgres"
        echo "  export PERDURE_TEST_MYSQL=mysql://root@127.0.0.1:3306"
        echo "Without any PostgreSQL the tests start one from a wheel."
    fi
