"""The gated recurrence of ``discovery.boundaries.kernels.scan`` as a differentiable function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ...discovery.boundaries import kernels


@njit(cache=True, nogil=True)
def _backward(keep, new, state, row, grad, grad_keep, grad_new):  # type: ignore[no-untyped-def]
    """Fill the gradients of ``keep`` and ``new``; ``grad`` is changed: it gathers what later states pass back."""
    n, channels = grad.shape
    half = channels // 2
    for p in range(n - 1, -1, -1):
        fresh = p == 0 or row[p - 1] != row[p]
        for h in range(half):
            before = np.float32(0) if fresh else state[p - 1, h]
            g = grad[p, h] if row[p] >= 0 else np.float32(0)
            grad_keep[p, h], grad_new[p, h] = g * (before - new[p, h]), g * (1 - keep[p, h])
            if not fresh:
                grad[p - 1, h] += g * keep[p, h]
    for p in range(n):
        fresh = p == n - 1 or row[p + 1] != row[p]
        for h in range(half, channels):
            before = np.float32(0) if fresh else state[p + 1, h]
            g = grad[p, h] if row[p] >= 0 else np.float32(0)
            grad_keep[p, h], grad_new[p, h] = g * (before - new[p, h]), g * (1 - keep[p, h])
            if not fresh:
                grad[p + 1, h] += g * keep[p, h]


class Scan(torch.autograd.Function):
    """State = keep * state + (1 - keep) * new along each message, half of the channels in each direction."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor, row: Tensor) -> Tensor:
        """Return (positions, channels) states; ``row`` is int32, -1 in the padding."""
        arrays = keep.detach().numpy(), new.detach().numpy(), row.numpy()
        state = np.empty_like(arrays[0])
        kernels.scan(*arrays, state)
        ctx.arrays = (*arrays[:2], state, arrays[2])
        return torch.from_numpy(state)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of ``keep`` and ``new``."""
        keep = ctx.arrays[0]
        grad_keep, grad_new = np.empty_like(keep), np.empty_like(keep)
        _backward(*ctx.arrays, grads[0].contiguous().numpy().copy(), grad_keep, grad_new)
        return torch.from_numpy(grad_keep), torch.from_numpy(grad_new), None
