"""The embedded cross-encoder in PyTorch: its lower layers read two texts separately, its upper layers jointly."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from rerank_plugins.errors import UnsupportedModelError

HEADS, WIDTH, LAYERS, GATED = 12, 384, 6, 4
VOCABULARY = 30_522
CLS, SEP = 101, 102
# A gate with this value is closed: exp(-10000) is 0 in every precision.
_SHUT = -1e4
# BM25's parameters, with Lucene's defaults (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
_K1, _B = 1.2, 0.75
# BM25's average document length in word pieces; the training passages have about a hundred.
_AVERAGE_LENGTH = 100.0
# Scales the elementwise products of two unit vectors to a spread of 1.
_SPREAD = WIDTH**0.5


class GatedCrossEncoder(nn.Module):
    """A bi-encoder turned cross-encoder: its lower layers read each text separately, its upper layers both.

    In the upper layers a head sees the other text through a gate, a number added to those attention logits. There is
    one gate per layer, direction and head. The logit is

        scale * cos(mean q, mean d)
        + sum over the query's pieces of weight * (late * best + middle * best_below + exact * found)
        + head(...)

    where `best` is the highest cosine among the document's pieces after the last layer, `best_below` is the same after
    the last layer that reads texts separately, and `found` is BM25's saturated count of the piece in the document.
    """

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
        )
        bert = BertModel(config, add_pooling_layer=False)
        # torch types a module's attributes as Tensor or Module; these are modules.
        self.emb: Any = bert.embeddings
        self.layers: Any = bert.encoder.layer
        self.gate = nn.Parameter(torch.full((GATED, 2, HEADS), -2.0))  # [layer, (query sees, document sees), head]
        self.scale = nn.Parameter(torch.zeros(()))
        self.late = nn.Parameter(torch.zeros(()))
        self.middle = nn.Parameter(torch.zeros(()))
        self.exact = nn.Parameter(torch.zeros(()))
        self.rarity = nn.Parameter(torch.zeros(()))  # 0: all pieces of a query weigh the same; 1: by idf
        self.log_idf: Tensor
        self.register_buffer("log_idf", torch.zeros(VOCABULARY))
        self.token_weight = nn.Linear(WIDTH, 1)
        self.head_in = nn.Linear(4 * WIDTH + 6, 128)
        self.head_out = nn.Linear(128, 1)
        for zero in (self.token_weight, self.head_out):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(self, input_ids: Tensor, position_ids: Tensor, segment_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Score pairs.

        Args:
            input_ids: [CLS] query [SEP] [CLS] document [SEP], of shape (batch, sequence), int64.
            position_ids: Each piece's position in its own text.
            segment_ids: 0 in the query, 1 in the document.
            attention_mask: 0 for padding.

        Returns:
            Logits, of shape (batch,).
        """
        below = self.read(input_ids, position_ids, segment_ids, attention_mask)
        return self.compare(below, input_ids, segment_ids, attention_mask)

    def read(self, input_ids: Tensor, position_ids: Tensor, segment_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the lower layers, where a text's states do not depend on the other text."""
        table = self.emb
        states: Tensor = table.word_embeddings(input_ids) + table.position_embeddings(position_ids)
        states = table.LayerNorm(states + table.token_type_embeddings.weight[0])
        shut = torch.full((2, HEADS), _SHUT, device=states.device)
        for layer in self.layers[: LAYERS - GATED]:
            states = _layer(layer, states, shut, segment_ids, attention_mask)
        return states

    def compare(self, below: Tensor, input_ids: Tensor, segment_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the upper layers on the states that `read` returned, and compute the logits."""
        states = below
        for layer, gate in zip(self.layers[LAYERS - GATED :], self.gate, strict=True):
            states = _layer(layer, states, gate, segment_ids, attention_mask)
        query = ((segment_ids == 0) & (attention_mask == 1)).float()
        document = ((segment_ids == 1) & (attention_mask == 1)).float()
        words = ((input_ids != CLS) & (input_ids != SEP)).float()
        u, v = _mean(states, query), _mean(states, document)
        cosine = (u * v).sum(-1)
        best, best_below = _best(states, document), _best(below, document)
        found, length = _found(input_ids, document * words)
        importance = self.token_weight(states.float()).squeeze(-1) + self.rarity * self.log_idf[input_ids]
        # Even if a query has only special tokens, its weights sum to 1.
        weight = torch.softmax(importance + (1.0 - query * words) * _SHUT, -1)
        late, middle, exact = (weight * best).sum(-1), (weight * best_below).sum(-1), (weight * found).sum(-1)
        lengths = torch.log1p(length), torch.log1p((query * words).sum(-1))
        scalars = torch.stack([cosine, late, middle, exact, *lengths], -1)
        features = torch.cat([u, v, _SPREAD * u * v, (u - v).abs(), scalars], -1)
        head: Tensor = self.head_out(functional.gelu(self.head_in(features))).squeeze(-1)
        return self.scale * cosine + self.late * late + self.middle * middle + self.exact * exact + head

    def scaled(self, scale: float, offset: float) -> "GatedCrossEncoder":
        """Return a copy whose logits are `scale * logit + offset`."""
        copy = deepcopy(self)
        with torch.no_grad():
            for parameter in (copy.scale, copy.late, copy.middle, copy.exact, *copy.head_out.parameters()):
                parameter.mul_(scale)
            copy.head_out.bias.add_(offset)
        return copy.eval()

    def save(self, file: Path) -> None:
        """Save the weights as safetensors, in fp16."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        halves = {name: each.half() if each.is_floating_point() else each for name, each in tensors.items()}
        save_file(halves, file)

    @classmethod
    def load(cls, file: Path) -> "GatedCrossEncoder":
        """Load weights that `save` wrote, in fp32.

        Raises:
            UnsupportedModelError: If they are not weights of this model.
        """
        model = cls()
        tensors = {name: each.float() if each.is_floating_point() else each for name, each in load_file(file).items()}
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise UnsupportedModelError(f"'{file}' does not contain this model's weights: {error}") from None
        return model.eval()

    @classmethod
    def from_bi_encoder(cls, folder: Path, log_idf: Tensor) -> "GatedCrossEncoder":
        """Initialize from a bi-encoder, all-MiniLM-L6-v2, with a score made of its own cosines.

        Args:
            folder: The bi-encoder's folder.
            log_idf: The logarithm of each word piece's idf, of shape (vocabulary,).
        """
        model = cls()
        bert = BertModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True, use_safetensors=True)
        model.emb.load_state_dict(bert.embeddings.state_dict())
        model.layers.load_state_dict(bert.encoder.layer.state_dict())
        model.log_idf.copy_(log_idf)
        with torch.no_grad():
            for parameter, value in ((model.scale, 10.0), (model.late, 10.0), (model.exact, 1.0), (model.rarity, 0.5)):
                parameter.fill_(value)
        return model.eval()


def _layer(layer: Any, states: Tensor, gate: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
    attention = layer.attention.self
    query, key, value = (
        project(states).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for project in (attention.query, attention.key, attention.value)
    )
    # Two extra dimensions of queries and keys add the gate between query and document pieces. The fused attention
    # kernels do not support a learned bias, and this way none is needed.
    first = (segments == 0).to(query.dtype)[:, None, :, None]
    second = 1 - first
    sees, seen = gate.to(query.dtype)[:, None, :, None, None]
    scaling = query.shape[-1] ** -0.5
    query = torch.cat([query * scaling, first * sees, second * seen], -1)
    key = torch.cat([key, second.expand(-1, HEADS, -1, -1), first.expand(-1, HEADS, -1, -1)], -1)
    value = functional.pad(value, (0, 2))  # The fused kernels need all three to have the same width,
    if query.is_cuda:  # and on a GPU a multiple of eight.
        query, key, value = (functional.pad(each, (0, -each.shape[-1] % 8)) for each in (query, key, value))
    padding = ((1 - mask) * _SHUT).to(query.dtype)[:, None, None, :]
    context = functional.scaled_dot_product_attention(query, key, value, attn_mask=padding, scale=1.0)
    context = context[..., : WIDTH // HEADS]
    output = layer.attention.output
    states = output.LayerNorm(output.dense(context.transpose(1, 2).flatten(2)) + states)
    expanded = functional.gelu(layer.intermediate.dense(states))
    result: Tensor = layer.output.LayerNorm(layer.output.dense(expanded) + states)
    return result


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    total = (states.float() * mask[..., None]).sum(1)
    return functional.normalize(total / mask.sum(1, keepdim=True), dim=-1)


def _best(states: Tensor, document: Tensor) -> Tensor:
    """Return each piece's highest cosine among the document's pieces."""
    pieces = functional.normalize(states, dim=-1)
    cosines = pieces @ pieces.transpose(1, 2)
    return cosines.float().masked_fill(document[:, None, :] == 0, -1.0).amax(-1)


def _found(input_ids: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return BM25's saturated count of each piece among the document's words, and the number of those words."""
    same = (input_ids[:, :, None] == input_ids[:, None, :]).float()
    count = (same * words[:, None, :]).sum(-1)
    length = words.sum(-1)
    saturation = _K1 * (1 - _B + _B * length[:, None] / _AVERAGE_LENGTH)
    return count / (count + saturation), length
