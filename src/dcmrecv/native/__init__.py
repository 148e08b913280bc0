"""Bytes, memory, system calls: no DICOM meaning."""
