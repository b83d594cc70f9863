"""Join the three projections of an attention layer into one matrix product, which fills a GPU better than three."""

import torch

# What layers call the projections to queries, keys and values.
_NAMES = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"))


def join_projections(model: torch.nn.Module) -> int:
    """Replace the query, key and value projections of every attention layer by parts of one product.

    Args:
        model: Any model; layers that compute them in another way are left alone.

    Returns:
        How many layers were changed.
    """
    return sum(_join(layer, names) for layer in list(model.modules()) for names in _NAMES)


def _join(layer: torch.nn.Module, names: tuple[str, str, str]) -> bool:
    parts = [getattr(layer, name, None) for name in names]
    if not all(type(part) is torch.nn.Linear for part in parts):
        return False
    linears = [part for part in parts if isinstance(part, torch.nn.Linear)]
    biased = {linear.bias is not None for linear in linears}
    widths = {linear.in_features for linear in linears}
    if len(biased) > 1 or len(widths) > 1 or len(linears) < len(names):
        return False
    joined = _JoinedLinear(linears)
    for place, name in enumerate(names):
        setattr(layer, name, _Part(joined, place))
    return True


class _JoinedLinear(torch.nn.Module):
    """Several linear layers of the same input as one product, kept until each of its parts was asked for."""

    def __init__(self, linears: list[torch.nn.Linear]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.cat([each.weight for each in linears]).detach(), requires_grad=False)
        biases = [each.bias for each in linears]
        bias = torch.cat([each for each in biases if each is not None]).detach() if biases[0] is not None else None
        self.bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)
        self._sizes = [each.out_features for each in linears]
        self._input: torch.Tensor | None = None
        self._parts: list[torch.Tensor | None] = []

    def part(self, states: torch.Tensor, place: int) -> torch.Tensor:
        """Return one part of the product; the last one that is asked for ends its life."""
        if self._input is not states:
            product = torch.nn.functional.linear(states, self.weight, self.bias)
            self._input, self._parts = states, list(torch.split(product, self._sizes, dim=-1))
        part, self._parts[place] = self._parts[place], None
        if part is None:
            raise RuntimeError("A layer asked twice for a projection of the same input.")
        if not any(each is not None for each in self._parts):
            self._input, self._parts = None, []
        return part


class _Part(torch.nn.Module):
    """One of the joined linear layers, called as the layer that it replaces."""

    def __init__(self, joined: _JoinedLinear, place: int) -> None:
        super().__init__()
        self._joined, self._place = joined, place

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self._joined.part(states, self._place)
