"""The boundary network in torch, the same function as ``discovery.boundaries.network`` computes in NumPy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...discovery.boundaries.columns import FEATURES as COLUMN_FEATURES
from ...discovery.boundaries.columns import FLOW_FEATURES
from ...discovery.boundaries.context import FEATURES as CONTEXT_FEATURES
from ...discovery.boundaries.network import BYTE_REACH, GROUP_REACH, OVERALL_REACH, WIDE

BYTES, EMBEDDING = 257, 8


class BoundaryNetwork(nn.Module):
    """
    A logit per byte from byte values around it, its message's context, and the statistics of its columns.

    Args:
        hidden, narrow: channels of the first layer and of those after it; cells: hidden units of the part that reads
            column statistics.
    """

    def __init__(self, hidden: int = 32, narrow: int = 32, cells: int = 64) -> None:
        super().__init__()
        group_window, overall_window = 2 * GROUP_REACH + 1, 2 * OVERALL_REACH + 1
        self.byte = nn.Embedding(BYTES, EMBEDDING)
        self.bytes_in = nn.Linear(EMBEDDING * (2 * BYTE_REACH + 1), hidden)
        self.group_in = nn.Linear(COLUMN_FEATURES * group_window, cells)
        self.overall_in = nn.Linear((COLUMN_FEATURES + FLOW_FEATURES) * overall_window, cells, bias=False)
        self.cell_out = nn.Linear(cells, hidden, bias=False)
        self.context_in = nn.Linear(CONTEXT_FEATURES, hidden, bias=False)
        self.near = nn.Linear(3 * hidden, narrow)
        self.group_pool = nn.Linear(hidden, narrow, bias=False)
        self.overall_pool = nn.Linear(hidden, narrow, bias=False)
        self.row_pool = nn.Linear(hidden, narrow, bias=False)
        self.wide = nn.Linear(3 * narrow, narrow)
        self.out = nn.Linear(narrow, 1)

    def forward(
        self,
        values: Tensor,
        context: Tensor,
        group: Tensor,
        overall: Tensor,
        cell: Tensor,
        column: Tensor,
        row: Tensor,
    ) -> Tensor:
        """Return (positions,) logits; ``group`` is (groups, width, features), ``overall`` (width, features)."""
        inside = (row >= 0).float()[:, None]
        cell, column, row = cell.clamp(min=0), column.clamp(min=0), row.clamp(min=0)
        cells = self.group_in(_window(group, GROUP_REACH)) + self.overall_in(_window(overall[None], OVERALL_REACH))
        cells = self.cell_out(torch.relu(cells)).flatten(0, 1)
        embedded = self.bytes_in(_window(self.byte(values)[None], BYTE_REACH, outside=self.byte.weight[256])[0])
        first = torch.relu(embedded + cells[cell] + self.context_in(context)) * inside
        by_cell = self.group_pool(_mean(first, inside, cell, len(cells)))
        by_column = self.overall_pool(_mean(first, inside, column, len(overall)))
        by_row = self.row_pool(_mean(first, inside, row, int(row.max()) + 1))
        near = self.near(_spread(first, 1)) + by_cell[cell] + by_column[column] + by_row[row]
        second = torch.relu(near) * inside
        third = torch.relu(second + self.wide(_spread(second, WIDE))) * inside
        logits: Tensor = self.out(third)[:, 0]
        return logits


def _window(table: Tensor, reach: int, outside: Tensor | None = None) -> Tensor:
    """Return (n, width, features * (2 reach + 1)): each column with its neighbours, zeros or ``outside`` beyond."""
    n, width, features = table.shape
    edge = torch.zeros(n, reach, features) if outside is None else outside.expand(n, reach, features)
    padded = torch.cat([edge, table, edge], 1)
    return torch.cat([padded[:, i : i + width] for i in range(2 * reach + 1)], -1)


def _spread(x: Tensor, step: int) -> Tensor:
    edge = torch.zeros(step, x.shape[1])
    padded = torch.cat([edge, x, edge])
    return torch.cat([padded[: len(x)], x, padded[2 * step :]], 1)


def _mean(x: Tensor, inside: Tensor, index: Tensor, size: int) -> Tensor:
    total = torch.zeros(size, x.shape[1]).index_add(0, index, x * inside)
    count = torch.zeros(size, 1).index_add(0, index, inside)
    return total / count.clamp(min=1)
