"""Export a reranker as an optimised ONNX file that scores by itself, with the files that declare it."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from rerank_plugins.backends.base import ModelFolder, Placement
from rerank_plugins.errors import InvalidValueError, UnsupportedModelError
from rerank_plugins.exporting.quantization import quantize, scale_rows
from rerank_plugins.extras import extra
from rerank_plugins.models.spec import resolve
from rerank_plugins.options import RerankConfig
from rerank_plugins.text.tokenizer import load_tokenizer

with extra("export", provides="torch"):
    from rerank_plugins.backends.networks import load_network
    from rerank_plugins.backends.networks.base import Network
    from rerank_plugins.exporting.tracing import trace
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

MODEL_FILE = "model.onnx"
# They say how a pair is tokenized, which prompt is around it and what a score means; models lack some of them.
_SIDE_FILES = (
    "[0-9]*_*/config.json",  # of modules, such as 2_Dense
    "additional_chat_templates/*.jinja",
    "chat_template.jinja",
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
# Options that say what a folder does not.
_DECLARING = ("prompt", "head", "label")
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
        UnsupportedModelError: If it is not a reranker, or an ONNX graph cannot compute what it computes.

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
    external_data = 4 * sum(each.numel() for each in network.state_dict().values()) > max_file_bytes
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            optimized = Path(scratch) / MODEL_FILE
            _write_optimized(source.name, network, optimized, external_data=external_data)
            del network  # The following steps hold the weights several times.
            _finish(optimized, folder, int8=int8, external_data=external_data)
    except UnsupportedModelError:
        if not existed:
            folder.rmdir()
        raise
    _copy_side_files(source, folder)
    _save_options(config, folder / "config.json")


def _write_optimized(name: str, network: Network, optimized: Path, *, external_data: bool) -> None:
    plain = optimized.with_name("plain.onnx")
    trace(name, network, plain)
    layers = network.config.get_text_config()
    optimize_model(
        str(plain),
        model_type=_FAMILY,
        num_heads=layers.num_attention_heads,
        hidden_size=layers.hidden_size,
        opt_level=0,
        optimization_options=_fusions(),
    ).save_model_to_file(str(optimized), use_external_data_format=external_data)


def _finish(optimized: Path, folder: Path, *, int8: bool, external_data: bool) -> None:
    if int8:
        scale_rows(optimized)
        quantize(optimized, folder / MODEL_FILE, external_data=external_data)
    else:
        # Under the same name: the model file names its file of weights.
        for file in optimized.parent.glob(f"{MODEL_FILE}*"):
            file.replace(folder / file.name)
    for weights in folder.glob(f"{MODEL_FILE}.data"):  # onnx makes them readable for their owner only.
        weights.chmod((folder / MODEL_FILE).stat().st_mode)


def _copy_side_files(source: ModelFolder, folder: Path) -> None:
    """Copy what declares the model; its weights and head are in the ONNX file."""
    for pattern in _SIDE_FILES:
        for file in source.path.glob(pattern):
            target = folder / file.relative_to(source.path)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
    if not (folder / "tokenizer.json").is_file():
        load_tokenizer(source.name, source.path).tokenizer.save(str(folder / "tokenizer.json"))


def _save_options(config: RerankConfig, file: Path) -> None:
    """Write into the `config.json` what the user said of the model; `models.declared` reads it."""
    given = {name: getattr(config, name) for name in _DECLARING}
    if added := {name: value for name, value in given.items() if value is not None}:
        content = json.loads(file.read_text(encoding="utf-8"))
        content["rerank_plugins"] = content.get("rerank_plugins", {}) | added
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def _fusions() -> FusionOptions:
    """Choose what becomes one operator: attention and GELU, but not a sum with the layer norm that follows it.

    onnxruntime's SkipLayerNormalization takes longer on the CPU than an addition and a LayerNormalization
    (benchmarks/README.md, "What was tried").
    """
    options = FusionOptions(_FAMILY)
    options.enable_skip_layer_norm = False
    options.enable_embed_layer_norm = False  # It depends on the other's operators.
    return options
