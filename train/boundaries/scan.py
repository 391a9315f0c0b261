"""The gated recurrence of ``discovery.boundaries.kernels.scan`` as a differentiable function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ...discovery.boundaries import kernels


@njit(cache=True, nogil=True)
def _step(keep, new, state, p, before, low, high, grad, grad_keep, grad_new):  # type: ignore[no-untyped-def]
    """Pass the gradient at position ``p`` back to its inputs and to ``before``, the same ``p`` where there is none."""
    for h in range(low, high):
        g = grad[p, h]
        last = np.float32(0) if before == p else state[before, h]
        grad_keep[p, h], grad_new[p, h] = g * (last - new[p, h]), g * (1 - keep[p, h])
        if before != p:
            grad[before, h] += g * keep[p, h]


@njit(cache=True, nogil=True)
def _backward(keep, new, state, row, grad, grad_keep, grad_new):  # type: ignore[no-untyped-def]
    """Fill the gradients of ``keep`` and ``new``; ``grad`` is changed: it gathers what later states pass back."""
    n, channels = grad.shape
    half = channels // 2
    grad_keep[:], grad_new[:] = 0, 0
    for p in range(n - 1, -1, -1):
        if row[p] >= 0:
            before = p - 1 if p > 0 and row[p - 1] == row[p] else p
            _step(keep, new, state, p, before, 0, half, grad, grad_keep, grad_new)
    for p in range(n):
        if row[p] >= 0:
            before = p + 1 if p + 1 < n and row[p + 1] == row[p] else p
            _step(keep, new, state, p, before, half, channels, grad, grad_keep, grad_new)


class Scan(torch.autograd.Function):
    """State = keep * state + (1 - keep) * new along each message, half of the channels in each direction."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # the kernels know no other numbers
    def forward(ctx: Any, keep: Tensor, new: Tensor, row: Tensor) -> Tensor:
        """Return (positions, channels) states; ``row`` is int32, -1 in the padding."""
        kept, fresh, rows = keep.detach().numpy(), new.detach().numpy(), row.numpy()
        state = np.empty_like(kept)
        kernels.scan(kept, fresh, rows, state)
        ctx.arrays = (kept, fresh, state, rows)
        return torch.from_numpy(state)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of ``keep`` and ``new``."""
        keep, new, state, row = ctx.arrays
        grad_keep, grad_new = np.empty_like(keep), np.empty_like(keep)
        _backward(keep, new, state, row, grads[0].contiguous().numpy().copy(), grad_keep, grad_new)
        return torch.from_numpy(grad_keep), torch.from_numpy(grad_new), None
