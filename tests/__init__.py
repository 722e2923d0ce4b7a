"""The tests; importable so that benchmarks are found as `tests.performance.…`."""
