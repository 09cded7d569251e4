"""The load generator of the benchmarks."""
