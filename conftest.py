"""Every test process computes with one thread: the networks are tiny, and pytest -n runs several side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; subprocesses inherit it
