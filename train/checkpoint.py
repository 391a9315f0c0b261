"""A network's parameters and its optimiser's state as bytes of safetensors; nothing of it is unpickled."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

NETWORK, OPTIMISER = "network/", "optimiser/"


def to_bytes(network: nn.Module, optimiser: Optimizer) -> bytes:
    """Return both; the optimiser's tensors by the names of the parameters they belong to."""
    tensors = {NETWORK + name: value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{OPTIMISER}{key}/{name}"] = torch.as_tensor(value)
    made: bytes = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    return made


def restore(data: bytes, network: nn.Module, optimiser: Optimizer | None = None) -> None:
    """Set a network, and its optimiser where one is given, to the state in ``data``."""
    tensors: dict[str, Tensor] = load(data)
    network.load_state_dict({name.removeprefix(NETWORK): t for name, t in tensors.items() if name.startswith(NETWORK)})
    if optimiser is None:
        return
    parameters = dict(network.named_parameters())
    for name, tensor in tensors.items():
        if name.startswith(OPTIMISER):
            key, _, parameter = name.removeprefix(OPTIMISER).partition("/")
            there = parameters[parameter]
            # AdamW keeps its count of steps on the CPU and its moments where the parameters are.
            optimiser.state[there][key] = tensor if key == "step" else tensor.to(there.device)
