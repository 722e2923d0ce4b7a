"""Benchmarks: each measures something of ours against its baseline, in turn, in one run."""
