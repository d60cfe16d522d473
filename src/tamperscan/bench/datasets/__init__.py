"""Readers of data sets: each turns a folder into cases, and counts the rows that can't be used."""
