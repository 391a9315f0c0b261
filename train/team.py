"""What one of several training processes knows of the others; alone, it is the first of one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed as dist
from torch import nn


def rank_and_size() -> tuple[int, int]:
    """Return this process's number from 0 on and how many there are."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def total(values: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
    """Return the sums over all processes, in float64: exact for integers below 2 ** 53."""
    summed = torch.from_numpy(values.astype(np.float64)).to(device)
    if rank_and_size()[1] > 1:
        dist.all_reduce(summed)
    made: NDArray[np.float64] = summed.cpu().numpy()
    return made


def first_says(value: int, device: torch.device) -> int:
    """Return what the first process passes here; all wait for it."""
    said = torch.tensor([value], dtype=torch.int64, device=device)
    if rank_and_size()[1] > 1:
        dist.broadcast(said, 0)
    return int(said.item())


def shared(module: nn.Module) -> nn.Module:
    """Return the module with gradients that are means over all processes (DistributedDataParallel)."""
    if rank_and_size()[1] == 1:
        return module
    made: nn.Module = nn.parallel.DistributedDataParallel(module)
    return made
