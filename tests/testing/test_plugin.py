"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import pytest


def test_the_plugin_sets_the_number_of_seeds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
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
        """
    )
    pytester.runpytest_subprocess("--perdure-seeds", "2", "-p", "no:cacheprovider").assert_outcomes(passed=3)
    pytester.runpytest_subprocess("--perdure-seeds", "0").stderr.fnmatch_lines(["*give 1 or more*"])


def test_async_tests_run_under_both_event_loops_without_configuration(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
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
        """
    )
    done = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["*test_it?asyncio*", "*test_it?trio*"])


def test_a_test_s_own_mark_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from perdure import testing, workflow

        @workflow
        async def nothing() -> int:
            return 1

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["trio"])
        async def test_it(anyio_backend):
            assert await testing.run(nothing) == 1

        async def test_another():
            assert await testing.run(nothing) == 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)
