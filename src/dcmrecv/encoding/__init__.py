"""Data set encoding, PS3.5 and PS3.6."""
