"""The two networks of the vote in torch; ``discovery.classifier.networks`` computes the same in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from ...discovery.classifier.features import BINS, SIDE
from ...discovery.classifier.networks import FIRST_POOL, LAST_POOL, REACH, STRIDE, WORD, table_rows

BYTES, BYTE_WIDTH = 257, 16
SIDES, EMBEDDED = 32, 64
DROPPED, HIDDEN = 0.2, 0.3  # of what was read in the bytes; of the binned numbers
SMOOTHED = 0.02


class Side(nn.Module):
    """Sum of one learned row per binned number."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(table_rows(), SIDES)
        nn.init.normal_(self.table.weight, std=0.1)
        self.register_buffer("first", torch.arange(SIDE) * BINS, persistent=False)

    def forward(self, bins: Tensor) -> Tensor:
        """Return (messages, SIDES) of (messages, SIDE) bins."""
        rows = self.table(bins + self.first)
        shown = dropout(torch.ones(rows.shape[:2]), HIDDEN, self.training)  # whole numbers: none may carry all
        return torch.relu((rows * shown.to(rows)[:, :, None]).sum(1))


class Vote(nn.Module):
    """What both networks end in: a message's embedding, and classes from the mean and maximum over a group."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs + SIDES, EMBEDDED)
        self.out = nn.Linear(2 * EMBEDDED, classes)

    def embedding(self, x: Tensor, side: Tensor) -> Tensor:
        """Return (messages, EMBEDDED)."""
        return torch.relu(self.embed(torch.cat([x, side], 1)))

    def classes(self, mean: Tensor, most: Tensor) -> Tensor:
        """Return (groups, classes) logits."""
        made: Tensor = self.out(torch.cat([mean, most], -1))
        return made


class ConvolutionNetwork(nn.Module):
    """Three convolutions along the bytes; ``forward`` returns embeddings."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.byte = nn.Embedding(BYTES, BYTE_WIDTH)
        self.one = nn.Conv1d(BYTE_WIDTH, 32, REACH, stride=STRIDE, padding=(REACH - STRIDE) // 2)
        self.two = nn.Conv1d(32, 48, 3, padding=1)
        self.three = nn.Conv1d(48, 64, 3, padding=1)
        self.side = Side()
        self.vote = Vote(64 * 5, classes)
        self.drop = nn.Dropout(DROPPED)

    def forward(self, values: Tensor, bins: Tensor) -> Tensor:
        """Return (messages, EMBEDDED) of (messages, FRONT_BYTES) values and (messages, SIDE) bins."""
        x = torch.relu(self.one(self.byte(values).transpose(1, 2)))
        x = torch.max_pool1d(torch.relu(self.two(x)), FIRST_POOL)
        x = torch.max_pool1d(torch.relu(self.three(x)), LAST_POOL)
        x = torch.cat([x.flatten(1), x.amax(2)], 1)
        made: Tensor = self.vote.embedding(self.drop(x), self.side(bins))
        return made


class RecurrentNetwork(nn.Module):
    """An LSTM over words of four bytes; ``forward`` returns embeddings."""

    def __init__(self, classes: int, hidden: int = 48) -> None:
        super().__init__()
        self.byte = nn.Embedding(BYTES, BYTE_WIDTH)
        self.cells = nn.LSTM(WORD * BYTE_WIDTH, hidden, batch_first=True)
        self.side = Side()
        self.vote = Vote(2 * hidden, classes)
        self.drop = nn.Dropout(DROPPED)

    def forward(self, values: Tensor, bins: Tensor) -> Tensor:
        """Return (messages, EMBEDDED) of (messages, FRONT_BYTES) values and (messages, SIDE) bins."""
        x, (last, _) = self.cells(self.byte(values).reshape(len(values), -1, WORD * BYTE_WIDTH))
        made: Tensor = self.vote.embedding(self.drop(torch.cat([last[0], x.amax(1)], 1)), self.side(bins))
        return made


module: dict[str, Callable[[int], nn.Module]] = {"convolution": ConvolutionNetwork, "recurrence": RecurrentNetwork}


def loss(network: nn.Module, values: Tensor, bins: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of messages alone plus half that of their groups; ``labels`` are of the groups."""
    embedded = network(values, bins)
    vote: Any = network.vote
    each = labels.repeat_interleave(len(values) // len(labels))
    alone = cross_entropy(vote.classes(embedded, embedded), each, label_smoothing=SMOOTHED)
    grouped = embedded.view(len(labels), -1, EMBEDDED)
    together = cross_entropy(vote.classes(grouped.mean(1), grouped.amax(1)), labels, label_smoothing=SMOOTHED)
    return alone + together / 2
