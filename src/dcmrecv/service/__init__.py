"""One association."""
