"""Which dtype a network computes in."""

from rerank_plugins.backends.base import ModelFolder, Placement
from rerank_plugins.backends.devices import is_cpu
from rerank_plugins.backends.heads import TokenHead
from rerank_plugins.backends.networks.loading import is_decoder, load_config
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from safetensors import SafetensorError, safe_open

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def with_dtype(placement: Placement, folder: ModelFolder) -> Placement:
    """Choose the dtype where the user left it open.

    fp32 on the CPU. On a GPU half precision: bf16 where the weights were saved in it, and for language models unless
    they were saved in fp16; fp16 for all others, whose three more bits keep more of the order. Activations of models
    that were trained in bf16 exceed what fp16 holds (65,504).

    Raises:
        UnsupportedModelError: If the weights or the `config.json` cannot be read.

    Examples:
        >>> with_dtype(Placement("cuda", "auto", None), folder).dtype
        'bf16'
    """
    if placement.dtype != "auto":
        return placement
    return Placement(placement.device, _chosen(placement.device, folder), placement.threads)


def _chosen(device: str, folder: ModelFolder) -> str:
    if is_cpu(device):
        return "fp32"
    stored = _stored(folder)
    if "BF16" not in stored and ("F16" in stored or not _is_language_model(folder)):
        return "fp16"
    # Cards before Ampere have no bf16 of their own.
    emulated = torch.device(device).type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return "fp32" if emulated else "bf16"


def _stored(folder: ModelFolder) -> set[str]:
    """Read the dtypes of a checkpoint's weights, as safetensors spells them."""
    try:
        with safe_open(folder.path / folder.weights[0], framework="pt") as weights:
            return {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError) as error:
        raise UnsupportedModelError(f"The weights of '{folder.name}' cannot be read: {error}") from error


def _is_language_model(folder: ModelFolder) -> bool:
    return isinstance(folder.head, TokenHead) or is_decoder(load_config(folder))
