"""Messages from application code, and what carries them."""
