"""Measuring detectors on real scans: what is measured, how, and the tables it is told in."""
