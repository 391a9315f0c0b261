"""Types as an analyst names them: parted where one holds messages of two names, joined where two hold those of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..batch import MessageBatch, MessageView
from ..errors import InputError
from ..sample import Sample
from ..spec import Evidence, Guard, ValueGuard
from .columns import CANDIDATES, Columns, masked
from .evidence import gather_types
from .finder import types_of_key
from .keys import MASKS, values_to_keep, weigh
from .model import ProposedType, TypeModel

Named = Sequence[tuple[bytes, str]]  # payloads and the names of their types
MAX_STEM = 56  # of a name that gets a number


def apply_names(model: TypeModel, named: Named, sample: Sample) -> TypeModel:
    """
    Return the model with types that bear the names of their labelled messages.

    Raises:
        InputError: no byte tells messages of two names apart that are of one type.
    """
    model = _keyed(model, named, sample)
    types = list(_parted(model, named, sample))
    types = _joined(types, named)
    changed = TypeModel(_renamed(types, _names(types, named)), model.key)
    kept = {claim: evidence for claim, evidence in model.evidence.items() if not claim.startswith("type:")}
    return replace(changed, evidence={**kept, **gather_types(changed, sample)})


def _keyed(model: TypeModel, named: Named, sample: Sample) -> TypeModel:
    """
    Return the model with another key where the names contradict its types and one byte, masked, has a value a name.

    Fewer labels than two more than names leave the key as it is: any byte that varies would do.
    """
    names = [name for _, name in named]
    enough = 2 <= len(set(names)) <= len(names) - 2
    if not enough or _one_to_one(zip(_assigned(model.types, named), names, strict=True)):
        return model
    columns = Columns.read(sample.view.take(~sample.held_out))
    found = next((place for place in _places(columns) if _is_key(named, *place)), None)
    if found is None:
        return model
    offset, mask = found
    types, key = types_of_key(offset, mask, values_to_keep(masked(columns.values[offset], mask)))
    told = Evidence(
        detector="analyst", statement=f"the byte at offset {offset}, masked by 0x{mask:02x}, has a value a named type",
        support=len(named), trials=len(named),
    )  # fmt: skip
    return TypeModel(types, key, {"key:protocol": told})


def _places(columns: Columns) -> Iterator[tuple[int, int]]:
    """Yield offsets and masks, the best key of all messages first; of one offset, the whole byte first."""
    for candidate in weigh(columns, None, 0.0):
        for mask in (0xFF, *MASKS):
            yield candidate.offset, mask


def _is_key(named: Named, offset: int, mask: int) -> bool:
    """Return whether a masked byte has one value in the messages of each name, of each another one."""
    return all(offset < len(payload) for payload, _ in named) and _one_to_one(
        (payload[offset] & mask, name) for payload, name in named
    )


def _one_to_one(pairs: Iterable[tuple[int, str]]) -> bool:
    """Return whether each number goes with one name and each name with one number."""
    different = set(pairs)
    return len({number for number, _ in different}) == len({name for _, name in different}) == len(different)


def _assigned(types: Sequence[ProposedType], named: Named) -> list[int]:
    view = MessageBatch.from_payloads([payload for payload, _ in named]).view()
    found: list[int] = TypeModel(list(types), None).assign(view).tolist()
    return found


def _names(types: Sequence[ProposedType], named: Named) -> list[list[str]]:
    """Return by type the names of its labelled messages, each once, in their order."""
    names: list[dict[str, None]] = [{} for _ in types]
    for (_, name), kind in zip(named, _assigned(types, named), strict=True):
        if kind >= 0:
            names[kind][name] = None
    return [list(mine) for mine in names]


def _parted(model: TypeModel, named: Named, sample: Sample) -> Iterator[ProposedType]:
    """Yield the types; before one that holds messages of several names, one for each name that is not its own."""
    at, type_of_row = _assigned(model.types, named), model.assign(sample.view)
    for index, proposed in enumerate(model.types):
        mine = [pair for pair, kind in zip(named, at, strict=True) if kind == index]
        names = list(dict.fromkeys(name for _, name in mine))
        if len(names) > 1:
            offset = _telling(mine, sample.view.take((type_of_row == index) & ~sample.held_out))
            for name in names:
                values = sorted({payload[offset : offset + 1] for payload, other in mine if other == name})
                guard = ValueGuard(offset=offset, width=1, values=values)
                yield ProposedType(name, proposed.label, [*proposed.guards, guard])
        yield proposed


def _telling(mine: Named, view: MessageView) -> int:
    """Return the offset whose byte tells the names apart: of those that do, the best key of the type's messages."""
    shortest = min(len(payload) for payload, _ in mine)
    telling = [offset for offset in range(min(shortest, CANDIDATES)) if _tells(mine, offset)]
    if not telling:
        names = " and ".join(sorted({name for _, name in mine}))
        hint = f"they are alike, or differ behind byte {CANDIDATES}: give them one name"
        raise InputError(f"no byte tells {names} apart", where="labels", hint=hint)
    ranked = [candidate.offset for candidate in weigh(Columns.read(view), None, 0.0)] if len(view) else []
    return next((offset for offset in ranked if offset in telling), telling[0])


def _tells(mine: Named, offset: int) -> bool:
    """Return whether no value of this byte is in messages of two names."""
    pairs = {(payload[offset], name) for payload, name in mine}
    return len({value for value, _ in pairs}) == len(pairs)


def _joined(types: list[ProposedType], named: Named) -> list[ProposedType]:
    """Return the types, those of one name joined where guards can say so."""
    kept: list[tuple[ProposedType, list[str]]] = []
    for proposed, mine in zip(types, _names(types, named), strict=True):
        for place, (other, theirs) in enumerate(kept):
            both = _union(other, proposed) if mine and mine == theirs else None
            if both is not None:
                # What takes the rest stays where it is; the messages of the other then fall to it.
                if both is proposed:
                    del kept[place]
                    kept.append((both, mine))
                else:
                    kept[place] = (both, mine)
                break
        else:
            kept.append((proposed, mine))
    return [proposed for proposed, _ in kept]


def _union(first: ProposedType, second: ProposedType) -> ProposedType | None:
    """Return one type for the messages of two, the first of which is tried before; None where no guards say that."""
    if first.guards[: len(second.guards)] == second.guards:
        return second
    if len(first.guards) != len(second.guards):
        return None
    differ = [k for k, (a, b) in enumerate(zip(first.guards, second.guards, strict=True)) if a != b]
    if len(differ) != 1:
        return None
    a, b = first.guards[differ[0]], second.guards[differ[0]]
    if not (isinstance(a, ValueGuard) and isinstance(b, ValueGuard)):
        return None
    if (a.offset, a.width, a.mask) != (b.offset, b.width, b.mask):
        return None
    guards: list[Guard] = list(first.guards)
    guards[differ[0]] = a.model_copy(update={"values": sorted({*a.values, *b.values})})
    return replace(first, guards=guards)


def _renamed(types: list[ProposedType], names: list[list[str]]) -> list[ProposedType]:
    """Return the types under the names of their messages; another type of such a name gets a number behind it."""
    renamed = list(types)
    taken: set[str] = set()
    for index in sorted(range(len(types)), key=lambda index: not names[index]):
        wanted = names[index][0] if names[index] else types[index].name
        label = f"{wanted}, named by an analyst" if names[index] else types[index].label
        free = (wanted if k == 1 else f"{wanted[:MAX_STEM]}__{k}" for k in range(1, len(types) + 2))
        name = next(each for each in free if each not in taken)
        taken.add(name)
        renamed[index] = ProposedType(name, label, types[index].guards)
    return renamed
