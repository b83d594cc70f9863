"""Networks in torch: a model's layers and its head as one module, from token ids to one score a pair."""

from rerank_plugins.backends.base import ModelFolder, Placement
from rerank_plugins.backends.heads import ClassifierHead, ModulesHead
from rerank_plugins.backends.networks import chain, classifier, decoder
from rerank_plugins.backends.networks.base import Network
from rerank_plugins.backends.networks.precision import DTYPES


def load_network(folder: ModelFolder, placement: Placement, *, attention: str | None = None) -> Network:
    """Build the network that a folder's head asks for, with the folder's weights, on its device.

    Args:
        folder: The folder.
        placement: Where it runs, and in which dtype; not `auto`.
        attention: Which of transformers' attention implementations to use; None: transformers chooses.

    Raises:
        UnsupportedModelError: If weights are missing, damaged, of other shapes than declared, or not those of the head.

    Examples:
        >>> network = load_network(folder, Placement("cpu", "fp32", None))
        >>> network(torch.tensor([[101, 2040, 102]]), torch.ones(1, 3, dtype=torch.long)).shape
        torch.Size([1])
    """
    dtype = DTYPES[placement.dtype]
    network: Network
    match folder.head:
        case ClassifierHead():
            network = classifier.load(folder, folder.head, dtype, attention)
        case ModulesHead():
            network = chain.load(folder, folder.head, dtype, attention)
        case _:
            network = decoder.load(folder, folder.head, dtype, attention)
    return network.eval().to(placement.device)
