"""Which holder each virtual shard shall be with: what people and rescaling want, where leases say what is."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, String, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from .database import Base, transaction


class PlacementRow(Base):
    """Where a virtual shard shall be."""

    __tablename__ = "placements"
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))


class Placements:
    """
    The wishes of one catalog; every method is one transaction.

    A wrong or old placement costs time and nothing else: only the lease's epoch decides who may register.

    Raises:
        OutcomeUnknownError: the database fails.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reads=True)

    def of(self, stream: str) -> dict[int, str]:
        """Return the holder of each virtual shard of a stream that was ever placed."""
        chosen = select(PlacementRow.shard, PlacementRow.holder).where(PlacementRow.stream == stream)
        with transaction(self._reading) as connection:
            rows = connection.execute(chosen.order_by(PlacementRow.shard))
            return {row.shard: row.holder for row in rows}

    def place(self, stream: str, holders: dict[int, str]) -> None:
        """Let virtual shards be with these holders from now on."""
        if not holders:
            return
        rows = [{"stream": stream, "shard": shard, "holder": holder} for shard, holder in sorted(holders.items())]
        with transaction(self._engine, stream) as connection:
            at = (PlacementRow.stream == stream, PlacementRow.shard.in_(list(holders)))
            connection.execute(delete(PlacementRow).where(*at))
            connection.execute(insert(PlacementRow), rows)


def spread(shards: Iterable[int], placed: dict[int, str], holders: Iterable[str]) -> dict[int, str]:
    """
    Return the fewest moves after which every holder has as many virtual shards as the others, or one more.

    Args:
        placed: where the shards are; one without, or with a holder that is none of ``holders``, is moved in any case.
        holders: at least one.

    Returns:
        The new holder of each shard that moves; the same for the same arguments.
    """
    names = sorted(set(holders))
    kept: dict[str, list[int]] = {name: [] for name in names}
    homeless: list[int] = []
    for shard in sorted(shards):
        kept.get(placed.get(shard, ""), homeless).append(shard)
    share, more = divmod(len(homeless) + sum(map(len, kept.values())), len(names))
    # Those that have most keep one more: nothing moves that need not.
    by_count = sorted(names, key=lambda name: (-len(kept[name]), name))
    quota = {name: share + (index < more) for index, name in enumerate(by_count)}
    for name in names:
        homeless += kept[name][quota[name] :]
    free = [name for name in names for _ in range(quota[name] - len(kept[name]))]
    return dict(zip(sorted(homeless), free, strict=True))
