"""Processes: listeners, workers, supervisor."""
