"""The devices that torch can use here."""

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch


def best_device() -> str:
    """Return cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_cpu(device: str) -> bool:
    """Tell whether a device is the CPU."""
    return torch.device(device).type == "cpu"


def checked_device(name: str) -> str:
    """Return a device's name if tensors can be made there.

    Raises:
        InvalidValueError: If they cannot.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValueError(f"device={name!r} cannot be used here: {reason} Use device='auto' or 'cpu'.") from error
    return name
