"""Measure Landbridge, and peers in the same run: `python -m tests.benchmarks` (docs/reference/benchmarks.md)."""
