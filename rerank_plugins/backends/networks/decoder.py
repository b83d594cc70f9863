"""Language models that score a pair at its last token: by a classification head, or by one or two tokens' logits.

A batch is padded on the right. A causal model's last token sees no padding, so neither changes a score.
"""

from typing import Any

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.backends.heads import TokenHead
from rerank_plugins.backends.networks.base import Network
from rerank_plugins.backends.networks.loading import load_model
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from torch import Tensor, nn
with extra("torch", provides="transformers"):
    from transformers import AutoModelForCausalLM


class Rows(nn.Module):
    """A few rows of a linear layer, in float32: half-precision logits tie too easily.

    Args:
        linear: The layer.
        rows: The rows to keep, in this order.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, rows: tuple[int, ...]) -> None:
        super().__init__()
        places = torch.tensor(rows)
        self.register_buffer("weight", linear.weight.detach()[places].float())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach()[places].float())

    def forward(self, hidden: Tensor) -> Tensor:
        """Multiply hidden states of shape (..., width); shape (..., rows)."""
        return nn.functional.linear(hidden.float(), self.weight, self.bias)


def log_odds(logits: Tensor) -> Tensor:
    """Weigh the first logit against all others; a sigmoid of it is the first one's softmax.

    Args:
        logits: Of shape (..., rows), in float32, with at least two rows.

    Returns:
        `logits[..., 0] - logsumexp(logits[..., 1:])`, of shape (...).

    Examples:
        >>> log_odds(torch.tensor([2.0, 0.0, 0.0]))  # e² / (e² + 2) = 0.787
        tensor(1.3069)
    """
    return logits[..., 0] - logits[..., 1:].logsumexp(-1)


class LastTokenNetwork(Network):
    """A network whose every token has a score; that of a pair's last token is the pair's."""

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor | None, **more: Any) -> Tensor:
        """Score at every token.

        Args:
            input_ids: Of shape (rows, tokens).
            attention_mask: What transformers takes as such, usually of the same shape.
            more: Other arguments of the model's forward pass, such as `position_ids`.

        Returns:
            Float32 numbers of shape (rows, tokens).
        """
        raise NotImplementedError

    def forward(self, *arrays: Tensor) -> Tensor:
        """Score a batch; see `Network.forward`."""
        input_ids, attention_mask = arrays
        last = attention_mask.sum(1, keepdim=True) - 1
        return self.token_scores(input_ids, attention_mask).gather(1, last).squeeze(1)


class DecoderClassifier(LastTokenNetwork):
    """A decoder's layers with its classification head.

    The forward pass of transformers looks for the last token that is not a padding token, and takes no batches without
    one. Here the last token counts: a prompt that ends with padding tokens comes without them.

    Args:
        model: A model with a linear layer `score`, such as `Qwen3ForSequenceClassification`.
        rows: The row of the head that counts, and those that it is weighed against (`log_odds`), if there are any.
    """

    def __init__(self, model: Any, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.config = model.base_model, _without_cache(model.config)
        self.score = Rows(model.score, rows)
        self._weighs = len(rows) > 1

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor | None, **more: Any) -> Tensor:
        """Score at every token; see `LastTokenNetwork.token_scores`."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state
        logits: Tensor = self.score(hidden)
        return log_odds(logits) if self._weighs else logits.squeeze(-1)


class TokenScorer(LastTokenNetwork):
    """A causal language model with one or two rows of its vocabulary.

    The model's own forward pass makes logits of them, so its scaling and softcapping apply (Gemma 2, Granite, Cohere).

    Args:
        model: The model, whose output layer is replaced.
        head: Which tokens count.
    """

    def __init__(self, model: Any, head: TokenHead) -> None:
        super().__init__()
        tokens = (head.true_token_id,) if head.false_token_id is None else (head.true_token_id, head.false_token_id)
        model.set_output_embeddings(Rows(model.get_output_embeddings(), tokens))
        self.model, self.config = model, _without_cache(model.config)
        self._subtracts = len(tokens) > 1

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor | None, **more: Any) -> Tensor:
        """Score at every token; see `LastTokenNetwork.token_scores`."""
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **more).logits
        return logits[..., 0] - logits[..., 1] if self._subtracts else logits[..., 0]


def load(folder: ModelFolder, head: TokenHead, dtype: torch.dtype, attention: str | None) -> Network:
    """Load a language model; see `load_network`."""
    model = load_model(AutoModelForCausalLM, folder, dtype, attention)
    output = model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        raise UnsupportedModelError(
            f"'{folder.name}' is a {type(model).__name__}, whose output layer is not linear ({type(output).__name__}), "
            "which is not supported. Choose another reranker, such as BAAI/bge-reranker-v2-m3."
        )
    for token in (head.true_token_id, head.false_token_id):
        if token is not None and not 0 <= token < output.out_features:
            raise UnsupportedModelError(
                f"'{folder.name}' scores by the token {token}, and has logits of {output.out_features} tokens. Check "
                "true_token_id and false_token_id in the config.json of its LogitScore."
            )
    return TokenScorer(model, head)


def _without_cache(config: Any) -> Any:
    # One pass reads a pair: keys and values are kept for nobody.
    config.use_cache = False
    config.get_text_config().use_cache = False
    return config
