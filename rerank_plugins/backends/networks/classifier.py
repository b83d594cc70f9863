"""Models with a classification head of their architecture: encoders as they are, decoders by their last token."""

from typing import Any

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.backends.heads import ClassifierHead
from rerank_plugins.backends.networks.base import Network, accepted_inputs
from rerank_plugins.backends.networks.decoder import DecoderClassifier, log_odds
from rerank_plugins.backends.networks.loading import is_decoder, load_model
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from torch import Tensor, nn
with extra("torch", provides="transformers"):
    from transformers import AutoModelForSequenceClassification


class EncoderClassifier(Network):
    """An encoder with its own head, such as `BertForSequenceClassification`.

    Args:
        model: The model.
        rows: The row of its head that counts, and those that it is weighed against (`log_odds`), if there are any.
    """

    _rows: Tensor

    def __init__(self, model: Any, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.inputs = accepted_inputs(model)
        self._row, self._weighs = rows[0], len(rows) > 1
        # A buffer goes where the model goes.
        self.register_buffer("_rows", torch.tensor(rows), persistent=False)

    def forward(self, *arrays: Tensor) -> Tensor:
        """Score a batch; see `Network.forward`."""
        logits: Tensor = self.model(**dict(zip(self.inputs, arrays, strict=True))).logits
        # Half-precision logits tie too easily: compare in float32.
        return log_odds(logits[:, self._rows].float()) if self._weighs else logits[:, self._row].float()


def load(folder: ModelFolder, head: ClassifierHead, dtype: torch.dtype, attention: str | None) -> Network:
    """Load a classifier; see `load_network`.

    A head that is one linear layer named `score` is what transformers puts on decoders: it reads the last token.
    """
    model = load_model(AutoModelForSequenceClassification, folder, dtype, attention)
    rows = _rows(folder.name, head, model.config.num_labels)
    if isinstance(getattr(model, "score", None), nn.Linear):
        return DecoderClassifier(model, rows)
    if is_decoder(model.config):
        raise UnsupportedModelError(
            f"'{folder.name}' is a {type(model).__name__}, a decoder whose classification head is not one linear "
            "layer over its last token, which is not supported. Choose another reranker, such as "
            "BAAI/bge-reranker-v2-m3."
        )
    return EncoderClassifier(model, rows)


def _rows(name: str, head: ClassifierHead, labels: int) -> tuple[int, ...]:
    if head.label is None and labels != 1:
        raise UnsupportedModelError(
            f"'{name}' has {labels} labels; a reranker has one, the relevance. Choose a cross-encoder trained with "
            "num_labels=1, or name the row that means relevant with label=."
        )
    row = head.label or 0
    if not 0 <= row < labels:
        raise UnsupportedModelError(
            f"label={head.label} is not a row of the head of '{name}', which has {labels}. Choose one from 0 to "
            f"{labels - 1}."
        )
    return (row, *(each for each in range(labels) if head.exclusive and each != row))
