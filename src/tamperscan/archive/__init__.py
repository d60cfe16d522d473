"""Screening whole archives: on this machine, or on a cluster of many."""
