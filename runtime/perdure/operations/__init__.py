"""What workflow and activity code calls."""
