"""`python -m perdure_adapters.cli`, for where the script `perdure` is not on the path."""

from perdure_adapters.cli import main

main()
