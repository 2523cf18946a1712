"""Cells of the grid: planned, run, read."""
