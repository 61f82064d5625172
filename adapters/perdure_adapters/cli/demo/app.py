"""The app of a demo that was kept, for `perdure list perdure_adapters.cli.demo.app:app` and the like."""

from perdure_adapters.cli.demo.place import Place

app = Place.from_environment().app()
