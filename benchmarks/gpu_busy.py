"""How busy the GPU is while something runs, as nvidia-smi says."""

from __future__ import annotations

import shutil
import subprocess
import threading
from types import TracebackType

__all__ = ["GpuBusy"]


class GpuBusy:
    """Samples nvidia-smi in a thread while its block runs; ``percent`` is the mean, ``None`` without nvidia-smi.

    Example:
        >>> with GpuBusy() as busy:
        ...     pass
    """

    def __init__(self, interval_s: float = 0.5) -> None:
        self.interval_s = interval_s
        self.samples: list[float] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def percent(self) -> float | None:
        return sum(self.samples) / len(self.samples) if self.samples else None

    def __enter__(self) -> GpuBusy:
        if shutil.which("nvidia-smi"):
            self.thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()

    def _sample(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not self.ended.wait(self.interval_s):
            found = subprocess.run(query, capture_output=True, encoding="utf-8", check=False)
            if found.returncode == 0 and found.stdout.strip().isdigit():
                self.samples.append(float(found.stdout))
