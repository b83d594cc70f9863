"""Peak memory of this process."""

from pathlib import Path


def peak_mb() -> float:
    """Return the peak resident memory in MB. `getrusage` is not used: its peak is inherited from the parent process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0]) / 1024
