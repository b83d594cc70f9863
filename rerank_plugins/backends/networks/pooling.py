"""One vector of all tokens' hidden states, as sentence-transformers' `Pooling` computes it."""

from collections.abc import Callable

from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from torch import Tensor

# What keeps a sum of no tokens from dividing by zero, as in sentence-transformers.
_LEAST = 1e-9


def last_token(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take each pair's last token, where padding is on the right.

    Args:
        hidden: Of shape (pairs, tokens, width).
        mask: 1 for a token, 0 for padding; of shape (pairs, tokens).

    Returns:
        Float32, of shape (pairs, width).
    """
    last = (mask.sum(1) - 1).view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, last).squeeze(1).float()


def _first_token(hidden: Tensor, _mask: Tensor) -> Tensor:
    return hidden[:, 0].float()


def _largest(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.float().masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).max(1).values


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / _count(mask)


def _mean_of_square_root(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / _count(mask).sqrt()


def _weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    places = mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)  # padding is on the right
    return _sum(hidden, places) / _count(places)


def _sum(hidden: Tensor, weights: Tensor) -> Tensor:
    return (hidden.float() * weights.unsqueeze(-1)).sum(1)


def _count(weights: Tensor) -> Tensor:
    return weights.sum(1, keepdim=True).float().clamp(min=_LEAST)


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first_token,
    "lasttoken": last_token,
    "max": _largest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_of_square_root,
    "weightedmean": _weighted_mean,
}
