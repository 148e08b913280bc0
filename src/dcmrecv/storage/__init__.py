"""Storage service and DICOM files, PS3.4 Annex B and PS3.10."""
