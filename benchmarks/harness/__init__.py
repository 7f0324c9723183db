"""What the benchmarks measure with: processes, the mock server, the work, the rows of the table."""
