"""The boundary network in torch, the same function as ``discovery.boundaries.network`` computes in NumPy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...discovery.boundaries.columns import FEATURES as COLUMN_FEATURES
from ...discovery.boundaries.columns import FLOW_FEATURES
from ...discovery.boundaries.grams import FEATURES as GRAM_FEATURES
from ...discovery.boundaries.inputs import FEATURES as CONTEXT_FEATURES
from ...discovery.boundaries.network import (
    BYTE_REACH,
    GROUP_REACH,
    LAST,
    NEAR,
    OVERALL_REACH,
    PHASES,
    STYLE_COLUMNS,
    WIDE,
)
from .examples import KINDS, Example
from .scan import Scan

BYTES, EMBEDDING = 257, 8
MARKS, EMBEDDED = 8, 16
PARTS = (
    "statistics", "tails", "pairs", "likeness", "recurrence", "agreement", "attention", "manner", "semantics",
    "orders", "types",
)  # fmt: skip


HEAD_PARTS = {"semantics", "orders", "types"}  # heads beside that of boundaries
LEFT_OUT = ("orders", "types")  # boundaries are no better with them: benchmarks.segmenter measures it


class BoundaryNetwork(nn.Module):
    """
    A logit per byte from byte values around it, its message's context, and the statistics of its columns.

    Args:
        hidden, narrow: channels of the first layer and of those after it; cells: hidden units of the part that reads
            column statistics; states: channels of the recurrence, half in each direction.
        without: names of ``PARTS`` that are left out (ablation).
    """

    def __init__(
        self, hidden: int = 32, narrow: int = 40, cells: int = 64, states: int = 48, without: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.without = frozenset(without)
        group_window, overall_window = 2 * GROUP_REACH + 1, 2 * OVERALL_REACH + 1
        self.byte = nn.Embedding(BYTES, EMBEDDING)
        self.bytes_in = nn.Linear(EMBEDDING * (2 * BYTE_REACH + 1), hidden)
        self.group_in = nn.Linear(COLUMN_FEATURES * group_window, cells)
        self.overall_in = nn.Linear((COLUMN_FEATURES + FLOW_FEATURES) * overall_window, cells, bias=False)
        self.cell_out = nn.Linear(cells, hidden, bias=False)
        self.tail_in = nn.Linear(COLUMN_FEATURES * group_window, cells)
        self.tail_out = nn.Linear(cells, hidden, bias=False)
        self.context_in = nn.Linear(CONTEXT_FEATURES, hidden, bias=False)
        self.first_cell, self.first_column, self.first_tail, self.first_gram = _pools(hidden, narrow)
        self.first_phase = nn.Linear(PHASES * hidden, narrow, bias=False)
        self.third_phase = nn.Linear(PHASES * narrow, narrow, bias=False)
        self.row_pool = nn.Linear(hidden, narrow, bias=False)
        self.near = nn.Linear(3 * hidden, narrow)
        self.scan_keep, self.scan_new = nn.Linear(narrow, states), nn.Linear(narrow, states)
        self.scan_out = nn.Linear(states, narrow, bias=False)
        self.wide = nn.Linear(3 * narrow, narrow)
        self.third_cell, self.third_column, self.third_tail, self.third_gram = _pools(narrow, narrow)
        self.last = nn.Linear(3 * narrow, narrow)
        self.out = nn.Linear(narrow, 1)
        self.kind = nn.Linear(narrow, len(KINDS))
        self.mark = nn.Linear(narrow, MARKS, bias=False)
        self.marked_group, self.marked_all = (nn.Linear(narrow, narrow, bias=False) for _ in range(2))
        self.order, self.embed = nn.Linear(narrow, 1), nn.Linear(narrow, EMBEDDED)
        with torch.no_grad():
            self.first_phase.weight.zero_()
            self.third_phase.weight.zero_()
            self.marked_group.weight.zero_()
            self.marked_all.weight.zero_()
            for part in sorted(self.without):
                for weight in self._outputs(part):
                    weight.zero_()

    def _outputs(self, part: str) -> list[Tensor]:
        """Return the weights through which a part speaks: zeros where it is left out, in the shipped form as well."""
        pooled = {
            name: [getattr(self, f"{layer}_{name}").weight for layer in ("first", "third")] for name in ("tail", "gram")
        }
        names = ("cell", "column", "tail", "gram")
        return {
            "statistics": [self.cell_out.weight, self.tail_out.weight],
            "tails": [self.tail_out.weight, *pooled["tail"]],
            "pairs": [self.context_in.weight[:, -GRAM_FEATURES:], *pooled["gram"]],
            "likeness": [getattr(self, f"first_{name}").weight for name in (*names, "phase")],
            "recurrence": [self.scan_out.weight],
            "manner": [self.first_phase.weight, self.third_phase.weight],
            "agreement": [getattr(self, f"third_{name}").weight for name in (*names, "phase")],
            "attention": [self.marked_group.weight, self.marked_all.weight],
            "semantics": [self.kind.weight],
            "orders": [self.order.weight],
            "types": [self.embed.weight],
        }[part]

    def forward(self, example: Example) -> Told:
        """Return the logits of boundaries and what is told along."""
        place = Place(example)
        first = torch.relu(self._bytes(example) + self._statistics(example, place)) * place.inside
        near = self.near(_spread(first, NEAR, place.row)) + self._like("first", first, place, "likeness")
        near = near + self.row_pool(_mean(first, place.row, int(place.row.max()) + 1))[place.row]
        second = torch.relu(near) * place.inside
        wide = second + self.wide(_spread(second, WIDE, place.row))
        if "recurrence" not in self.without:
            keep, new = torch.sigmoid(self.scan_keep(second)), torch.relu(self.scan_new(second))
            scan: Any = Scan.apply
            wide = wide + self.scan_out(scan(keep, new, place.row_of))
        third = torch.relu(wide) * place.inside
        last = third + self.last(_spread(third, LAST, place.row)) + self._like("third", third, place, "agreement")
        fourth = torch.relu(last + self._attended(third, place)) * place.inside
        return Told(
            self.out(fourth)[:, 0],
            None if "semantics" in self.without else self.kind(fourth),
            None if "orders" in self.without else self.order(fourth)[:, 0],
            None if "types" in self.without else self.embed(_mean(third, place.row, int(place.row.max()) + 1)),
        )

    def _attended(self, third: Tensor, place: Place) -> Tensor:
        """
        Return what positions that look alike, wherever they are, add to the last layer.

        Each position belongs in shares to learned marks; a mark's mean over the messages of a type and over all is read
        back by the same shares (attention through inducing points: Lee et al. 2019, Set Transformer).
        """
        if "attention" in self.without:
            return torch.zeros(())
        shares = torch.softmax(self.mark(third), 1) * place.inside
        group = torch.where(place.cell < 0, 0, place.cell // place.known.width)
        each = shares[:, :, None] * third[:, None, :]
        groups = len(place.known.by_group)
        sums = torch.zeros(groups, *each.shape[1:]).index_add(0, group, each)
        sizes = torch.zeros(groups, MARKS).index_add(0, group, shares)
        said = self.marked_group(sums / (sizes[:, :, None] + 1)) + self.marked_all(
            sums.sum(0) / (sizes.sum(0)[:, None] + 1)
        )
        made: Tensor = (shares[:, :, None] * said.index_select(0, group)).sum(1)
        return made

    def _bytes(self, example: Example) -> Tensor:
        values = torch.from_numpy(example.inputs.flat.values.astype("int64"))
        around = _window(self.byte(values)[None], BYTE_REACH, outside=self.byte.weight[256])[0]
        context = torch.from_numpy(example.inputs.context)
        if "pairs" in self.without:
            told = context[:, :-GRAM_FEATURES]
            context = torch.cat([told, torch.zeros(len(context), GRAM_FEATURES)], 1)
        made: Tensor = self.bytes_in(around) + self.context_in(context)
        return made

    def _statistics(self, example: Example, place: Place) -> Tensor:
        known = example.columns
        if "statistics" in self.without:
            return torch.zeros(())
        group, overall = torch.from_numpy(known.by_group), torch.from_numpy(known.overall)[None]
        cells = self.group_in(_window(group, GROUP_REACH)) + self.overall_in(_window(overall, OVERALL_REACH))
        made = _at(self.cell_out(torch.relu(cells)).flatten(0, 1), place.cell)
        if "tails" in self.without:
            return made
        tails = self.tail_in(_window(torch.from_numpy(known.tails), GROUP_REACH))
        return made + _at(self.tail_out(torch.relu(tails)).flatten(0, 1), place.tail)

    def _like(self, name: str, x: Tensor, place: Place, part: str) -> Tensor:
        """Return what the means of a layer over like positions add to the next layer."""
        if part in self.without:
            return torch.zeros(())
        made = torch.zeros(())
        for kind, index, size in place.pools():
            if (kind == "tail" and "tails" in self.without) or (kind == "gram" and "pairs" in self.without):
                continue
            made = made + _at(getattr(self, f"{name}_{kind}")(_mean(x, index, size)), index)
        if "manner" in self.without:
            return made
        means = _mean(x, place.style, PHASES)
        around = torch.cat([means.roll(-phase, 0) for phase in range(PHASES)], 1)
        return made + _at(getattr(self, f"{name}_phase")(around), place.phase)


class Told(NamedTuple):
    """(positions,) logits of boundaries; (positions, kinds) of meanings, (positions,) of byte orders; rows' types."""

    boundaries: Tensor
    kinds: Tensor | None
    orders: Tensor | None
    types: Tensor | None


class Place:
    """The indices of an example's positions as tensors; -1 where there is none."""

    def __init__(self, example: Example) -> None:
        inputs, self.known = example.inputs, example.columns
        self.row_of = torch.from_numpy(inputs.flat.row)
        self.row, self.cell, self.tail, self.gram, self.column = (
            torch.from_numpy(index.astype("int64"))
            for index in (inputs.flat.row, inputs.cell, inputs.tail, inputs.gram, inputs.flat.column)
        )
        self.phase = torch.where(self.column < 0, -1, self.column % PHASES)
        self.style = torch.where(self.column < STYLE_COLUMNS, self.phase, -1)
        self.inside = (self.row >= 0).float()[:, None]

    def pools(self) -> list[tuple[str, Tensor, int]]:
        """Return (name, index, size) of the kinds of likeness."""
        groups, width = self.known.by_group.shape[:2]
        return [
            ("cell", self.cell, groups * width), ("column", self.column, width),
            ("tail", self.tail, self.known.tails.shape[0] * self.known.tails.shape[1]),
            ("gram", self.gram, self.known.grams.size),
        ]  # fmt: skip


def _pools(inputs: int, outputs: int) -> list[nn.Linear]:
    return [nn.Linear(inputs, outputs, bias=False) for _ in range(4)]


def _at(table: Tensor, index: Tensor) -> Tensor:
    """Return the rows of a table at the index, zeros where it is -1."""
    padded = torch.cat([table, torch.zeros(1, table.shape[1])])
    return padded[index]


def _window(table: Tensor, reach: int, outside: Tensor | None = None) -> Tensor:
    """Return (n, width, features * (2 reach + 1)): each column with its neighbours, zeros or ``outside`` beyond."""
    n, width, features = table.shape
    edge = torch.zeros(n, reach, features) if outside is None else outside.expand(n, reach, features)
    padded = torch.cat([edge, table, edge], 1)
    return torch.cat([padded[:, i : i + width] for i in range(2 * reach + 1)], -1)


def _spread(x: Tensor, step: int, row: Tensor) -> Tensor:
    """Return each position with those ``step`` before and after it in its message, zeros where there are none."""
    edge = torch.zeros(step, x.shape[1])
    same = (row[step:] == row[:-step]).float()[:, None]
    return torch.cat([torch.cat([edge, x[:-step] * same]), x, torch.cat([x[step:] * same, edge])], 1)


def _mean(x: Tensor, index: Tensor, size: int) -> Tensor:
    """Return (size, channels) means of the positions with the same index; those of -1 are left out."""
    slot = torch.where(index < 0, size, index)
    total = torch.zeros(size + 1, x.shape[1]).index_add(0, slot, x)
    count = torch.zeros(size + 1).index_add(0, slot, torch.ones(len(x)))
    made: Tensor = (total / count.clamp(min=1)[:, None])[:size]
    return made
