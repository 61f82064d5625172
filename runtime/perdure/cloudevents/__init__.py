"""CloudEvents: what they look like, those that come in, and those that go out."""
