"""The weights of a Llama, laid out for a decode loop of our own."""

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from rerank_plugins.errors import UnsupportedModelError


class Layer:
    """The weights of one layer."""

    def __init__(self, layer: LlamaDecoderLayer) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.attention_norm = layer.input_layernorm.weight.detach()
        self.queries_keys_values = torch.cat(
            [each.weight.detach() for each in (attention.q_proj, attention.k_proj, attention.v_proj)]
        )
        self.attention_output = attention.o_proj.weight.detach()
        self.feed_norm = layer.post_attention_layernorm.weight.detach()
        self.gate_up = torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()])
        self.down = mlp.down_proj.weight.detach()
        self.activation = mlp.act_fn


class Network:
    """The weights and shapes of a Llama, its projections joined where they read the same input.

    Args:
        model: A Llama without biases.

    Raises:
        UnsupportedModelError: If it has biases.
    """

    def __init__(self, model: LlamaForCausalLM) -> None:
        config = model.config
        if config.attention_bias or config.mlp_bias:
            raise UnsupportedModelError("The writer takes a Llama without biases, and this one has them.")
        first = model.model.layers[0].self_attn
        self.head_dim: int = first.head_dim
        self.scaling: float = first.scaling
        self.heads: int = config.num_attention_heads
        self.group: int = first.num_key_value_groups
        self.key_heads = self.heads // self.group
        self.epsilon: float = config.rms_norm_eps
        self.embeddings = model.model.embed_tokens.weight.detach()
        self.output = model.lm_head.weight.detach()
        self.norm = model.model.norm.weight.detach()
        self.layers = [Layer(layer) for layer in model.model.layers]
        self._rotary = model.model.rotary_emb

    def normalize(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm."""
        return functional.rms_norm(hidden, weight.shape, weight, self.epsilon)

    def rotations(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines, and sines with the sign of the half they are for, of shape (places, 1, head_dim)."""
        cosines, sines = self._rotary(self.embeddings, places[None])
        negative, positive = sines[0].chunk(2, dim=-1)
        return cosines[0][:, None], torch.cat([-negative, positive], dim=-1)[:, None]
