"""How a model's last hidden states become one score: what a folder declares, and a backend builds."""

from dataclasses import dataclass

# (sentence-transformers 6.2, `Pooling.POOLING_MODES`)
POOLING_MODES = ("cls", "lasttoken", "mean", "max", "mean_sqrt_len_tokens", "weightedmean")
# Modules of torch that have neither weights nor settings, since only the name is saved.
ACTIVATIONS = (
    "torch.nn.modules.linear.Identity",
    *(
        f"torch.nn.modules.activation.{each}"
        for each in ("ELU", "GELU", "LeakyReLU", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Tanh")
    ),
)


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The classification head of the architecture itself (`*ForSequenceClassification`).

    Attributes:
        label: The row of the head that counts, where it has several; None: it has one.
        exclusive: Whether one label rules the others out, as a softmax has it. The score is then the label's log-odds,
            its logit minus the logsumexp of all the others', whose sigmoid is the softmax; else it is its logit.
    """

    label: int | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class TokenHead:
    """The logits that a language model gives to one or two tokens after the prompt (`LogitScore`).

    Attributes:
        true_token_id: The token that means "relevant".
        false_token_id: The token that means "not relevant", whose logit is subtracted; None: nothing is.
    """

    true_token_id: int
    false_token_id: int | None = None


@dataclass(frozen=True, slots=True)
class Pooling:
    """One vector of all tokens' hidden states.

    Attributes:
        mode: One of `POOLING_MODES`.
    """

    mode: str


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer and an activation.

    Attributes:
        folder: Where its `model.safetensors` is, relative to the model's folder.
        in_features: Size of its input.
        out_features: Size of its output.
        bias: Whether it has one.
        activation: One of `ACTIVATIONS`: the dotted name of a torch module.
        residual: Whether its input is added to its output.
    """

    folder: str
    in_features: int
    out_features: int
    bias: bool
    activation: str
    residual: bool = False


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm.

    Attributes:
        folder: Where its `model.safetensors` is, relative to the model's folder.
        dimension: Size of its input.
    """

    folder: str
    dimension: int


@dataclass(frozen=True, slots=True)
class ModulesHead:
    """A chain of modules behind a model without a head, as sentence-transformers saves them; the last gives one number.

    Attributes:
        modules: The modules behind the transformer, in their order; the first one pools.
    """

    modules: tuple[Pooling | Dense | LayerNorm, ...]


Head = ClassifierHead | TokenHead | ModulesHead
