"""Fuzzing: inputs nobody would make in good faith, by the hundred thousand, for everything that reads a file.

``make fuzz`` runs every target for a short time; ``python -m fuzz run --seconds 3600 dicom nifti`` goes on for as
long as you like. Counts add up in runs/fuzz, and ``python -m fuzz tell`` writes them to docs/robustness.md.
"""
