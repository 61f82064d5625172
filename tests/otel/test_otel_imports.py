"""OpenTelemetry is there for those who ask for it."""

from __future__ import annotations

import subprocess
import sys


def test_the_runtime_does_not_load_it_and_the_sdk_is_not_needed() -> None:
    code = (
        "import perdure, perdure.hooks, perdure.testing, sys\nassert 'opentelemetry' not in sys.modules\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "from perdure_adapters.otel import OpenTelemetryHooks\nOpenTelemetryHooks()"
    )
    subprocess.run([sys.executable, "-c", code], timeout=120, check=True)


def test_it_says_what_to_install() -> None:
    code = "import sys\nsys.modules['opentelemetry'] = None\nimport perdure_adapters.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "ImportError: OpenTelemetryHooks needs opentelemetry-api; install perdure[otel]" in done.stderr
