"""What the parts cost, each script one question; ``python -m benchmarks.run_all`` answers all of them.

Nothing here is a test: the numbers are a machine's. Variants run in turn in one process, and the ratios of neighbours
are what is reported, because the machine's load changes slower than that.
"""
