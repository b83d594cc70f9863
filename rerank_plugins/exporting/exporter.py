"""Export a cross-encoder as an optimised ONNX file, with the files needed to load it."""

import shutil
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

from rerank_plugins.backends.base import Placement
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.exporting.quantization import quantize, scale_rows
from rerank_plugins.extras import extra
from rerank_plugins.models.spec import resolve
from rerank_plugins.options import RerankConfig
from rerank_plugins.text.tokenizer import load_tokenizer

with extra("export", provides="torch"):
    import torch
    from torch import Tensor, nn

    from rerank_plugins.backends.networks import load_network
    from rerank_plugins.backends.networks.base import Network
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

MODEL_FILE = "model.onnx"
# They say how a pair is tokenized and what a logit means; some models lack some of them.
_SIDE_FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_OPSET = 17
# Size limit of a protobuf message (Protocol Buffers, "Proto limits"); larger weights go into a file beside it.
_PROTOBUF_LIMIT = 2**31 - 1
# onnxruntime's name for encoders whose attention, layer norms and GELU it fuses; it leaves what it cannot fuse.
_FAMILY = "bert"


def export(config: RerankConfig, folder: Path, *, int8: bool = False, max_file_bytes: int = _PROTOBUF_LIMIT) -> None:
    """Export a model from the Hub or from this machine to a folder for `Reranker(folder)`.

    Args:
        config: Which model.
        folder: The target; created if needed, and must be empty.
        int8: Whether to quantize the weights.
        max_file_bytes: Fp32 weights that are larger go into a file of their own beside the model.

    Raises:
        InvalidValueError: If the folder is not empty.
        ModelNotFoundError: If there is no such model, or no safetensors.
        UnsupportedModelError: If it is not a cross-encoder with one label.

    Examples:
        >>> export(RerankConfig(model="BAAI/bge-reranker-v2-m3"), Path("m3-int8"), int8=True)
        >>> Reranker("m3-int8").backend
        'onnx'
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(f"'{folder}' is not empty. Name a new folder, or empty it.")
    source = resolve(replace(config, backend="torch")).folder
    # Eager attention is the form that the optimiser knows.
    network = load_network(source, Placement("cpu", "fp32", None), attention="eager")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _SIDE_FILES:
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)
    if not (folder / "tokenizer.json").is_file():
        load_tokenizer(source.name, source.path).tokenizer.save(str(folder / "tokenizer.json"))
    external_data = 4 * sum(each.numel() for each in network.state_dict().values()) > max_file_bytes
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        plain, optimized = Path(scratch) / "plain.onnx", Path(scratch) / MODEL_FILE
        _trace(network, plain)
        layers = network.config.get_text_config()
        heads, width = layers.num_attention_heads, layers.hidden_size
        del network  # The following steps hold the weights several times.
        optimize_model(
            str(plain),
            model_type=_FAMILY,
            num_heads=heads,
            hidden_size=width,
            opt_level=0,
            optimization_options=_fusions(),
        ).save_model_to_file(str(optimized), use_external_data_format=external_data)
        if int8:
            scale_rows(optimized)
            quantize(optimized, folder / MODEL_FILE, external_data=external_data)
        else:
            # Under the same name: the model file names its file of weights.
            for file in Path(scratch).glob(f"{MODEL_FILE}*"):
                file.replace(folder / file.name)
    for weights in folder.glob(f"{MODEL_FILE}.data"):  # onnx makes them readable for their owner only.
        weights.chmod((folder / MODEL_FILE).stat().st_mode)


def _fusions() -> FusionOptions:
    """Choose what becomes one operator: attention and GELU, but not a sum with the layer norm that follows it.

    onnxruntime's SkipLayerNormalization takes longer on the CPU than an addition and a LayerNormalization
    (benchmarks/README.md, "What was tried").
    """
    options = FusionOptions(_FAMILY)
    options.enable_skip_layer_norm = False
    options.enable_embed_layer_norm = False  # It depends on the other's operators.
    return options


class _Column(nn.Module):
    """A network whose scores are a column, of shape (batch, 1), as other libraries expect."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, *arrays: Tensor) -> Tensor:
        scores: Tensor = self._network(*arrays)
        return scores.unsqueeze(1)


def _trace(network: Network, file: Path) -> None:
    names = network.inputs
    example = torch.ones((2, 16), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its deprecation and tracing
        torch.onnx.export(
            _Column(network).eval(),
            tuple(example for _ in names),
            str(file),  # With a Path it would not put weights over 2 GiB into a file beside it.
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in names} | {"logits": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
