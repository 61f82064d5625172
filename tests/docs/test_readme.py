"""The README's own test passes, in a folder with nothing but its program."""

from __future__ import annotations

import pytest

from docs.pages import ROOT, blocks


def test_the_test_of_the_readme_s_program(pytester: pytest.Pytester) -> None:
    python = [block.text for block in blocks(ROOT / "README.md") if block.language == "python"]
    (program,) = (text for text in python if text.startswith('"""Fulfil an order'))
    (test,) = (text for text in python if "import fake, run" in text)
    pytester.makepyfile(orders=program, test_orders=test)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
