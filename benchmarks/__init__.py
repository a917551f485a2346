"""How fast the service is, paired with a bare route on the same machine at the same time (docs/benchmarks.md)."""
