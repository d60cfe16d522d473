"""Making tampered scans with known truth, to measure detectors with. What is written is always marked as forged."""
