"""The app, for code that blocks."""
