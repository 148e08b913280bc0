"""DIMSE messages, PS3.7."""
