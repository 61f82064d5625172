"""How fast perdure is, as ratios to what is measured in the same run: `python -m benchmarks`."""
