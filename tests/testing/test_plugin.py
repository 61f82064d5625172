"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import pytest


def test_the_plugin_sets_the_number_of_seeds_and_runs_async_tests_under_both_event_loops(
    pytester: pytest.Pytester,
) -> None:
    """Without configuration; a test's own mark is left alone."""
    pytester.makepyfile(
        test_seeds="""
        from perdure import workflow
        from perdure.testing import run, simulate
        from perdure.testing.simulation import settings

        @workflow
        async def nothing() -> int:
            return 1

        def test_seeds():
            assert settings.default_seeds == 2
            simulate(nothing)

        def test_each(perdure_seed):
            assert perdure_seed in (0, 1)
        """,
        test_loops="""
        import pytest, sniffio
        from perdure import workflow
        from perdure.testing import run

        @workflow
        async def nothing() -> int:
            return 1

        async def test_it():
            assert await run(nothing) == 1

        class TestClass:
            async def test_method(self):
                assert await run(nothing) == 1
        """,
        test_marks="""
        import pytest
        from perdure import testing, workflow

        @workflow
        async def nothing() -> int:
            return 1

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["trio"])
        async def test_marked(anyio_backend):
            assert await testing.run(nothing) == 1

        async def test_another():
            assert await testing.run(nothing) == 1
        """,
    )
    done = pytester.runpytest_subprocess("-v", "--perdure-seeds", "2", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=10)
    for test in ("test_it", "test_method", "test_another"):
        for loop in ("asyncio", "trio"):
            done.stdout.fnmatch_lines_random([f"*::{test}?{loop}?*PASSED*"])
    done.stdout.fnmatch_lines_random(["*::test_marked?trio?*PASSED*"])
    done.stdout.no_fnmatch_line("*::test_marked?asyncio?*")


def test_no_seeds_are_too_few(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): ...")
    pytester.runpytest_inprocess("--perdure-seeds", "0").stderr.fnmatch_lines(["*give 1 or more*"])
