"""Real database servers for tests, each test with a database of its own."""
