"""Find the message types of a sample: text apart from binary, words that recur, keys that explain structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..batch import MessageView
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Guard, KeyField, TextGuard, ValueGuard
from ..spec.base import NOT_IN_NAMES
from .clusters import find_division
from .columns import Columns
from .conversations import Conversations
from .evidence import gather
from .keys import KeyCandidate, Split, grow
from .matching import guards_match
from .model import ProposedType, TypeModel
from .tokens import word_types

TEXT = TextGuard(bytes=16)
MIN_TEXT = 8  # messages of text, to be divided by words
MIN_TEXT_SHARE = 0.1
MAX_TEXT_SHARE = 0.9
NOT_IN_LABELS = re.compile(r"[^ -~]")
MAX_STEM = 40


@dataclass(frozen=True)
class _Draft:
    """A type before it has a unique name; ``stem`` is made of characters that a name may hold."""

    stem: str
    label: str
    guards: list[Guard]


def find_types(sample: Sample, settings: DiscoverySettings) -> TypeModel:
    """
    Return the message types that the proposing part of a sample supports.

    Types are tried in order; the last of each nest takes what its siblings leave, so every message has a type.
    Messages without structure make one type.
    """
    view = sample.view.take(~sample.held_out)
    drafts, split = _drafts(view, Conversations.read(sample))
    types = _named(_most_frequent(drafts, view, settings.max_types))
    key = _key_field(split.key) if split and split.key else None
    evidence = gather(TypeModel(types, key), split, sample, settings)
    return TypeModel(types, key if "key:protocol" in evidence else None, evidence)


def types_of_key(offset: int, mask: int, values: Sequence[int]) -> tuple[list[ProposedType], KeyField]:
    """Return one type for each value of a key that is known, one for all other messages, and the key."""
    key = KeyCandidate(offset, len(values), 0.0, 0.0, mask=mask)
    nothing = np.zeros(0, np.int64)
    split = Split(nothing, key=key, children={value: Split(nothing) for value in values})
    return _named(_key_drafts(split)), _key_field(key)


def _key_field(key: KeyCandidate) -> KeyField:
    return KeyField(offset=key.offset, width=1, mask=_mask(key.mask))


def _mask(mask: int) -> bytes | None:
    return None if mask == 0xFF else bytes([mask])


def _drafts(view: MessageView, flows: Conversations) -> tuple[list[_Draft], Split | None]:
    """Return the types, text first, and the tree of keys of what is not text (None where nearly all is)."""
    text = guards_match([TEXT], view) & (view.lengths > 0)
    share = float(text.mean()) if len(view) else 0.0
    if share < MIN_TEXT_SHARE or text.sum() < MIN_TEXT:
        return _binary_drafts(view, flows)
    drafts = _text_drafts(view.take(text))
    if share >= MAX_TEXT_SHARE:
        return [*drafts, _Draft("t_other", "other", [])], None
    binary, split = _binary_drafts(view.take(~text), flows)
    return [*drafts, *binary], split


def _text_drafts(view: MessageView) -> list[_Draft]:
    drafts = []
    for path, guards in word_types(view):
        words = [value.decode("latin-1") for _, value in path]
        stem = NOT_IN_NAMES.sub("_", "_".join(words))[:MAX_STEM]
        drafts.append(_Draft(f"t_{stem}", NOT_IN_LABELS.sub("?", " ".join(words)), [TEXT, *guards]))
    return [*drafts, _Draft("t_text", "other text", [TEXT])]


def _binary_drafts(view: MessageView, flows: Conversations) -> tuple[list[_Draft], Split]:
    split = grow(Columns.read(view), flows)
    division = None if split.key else find_division(view)
    if division is None:
        return _key_drafts(split), split
    deep = division.key()
    if deep is not None:
        return _key_drafts(deep), deep
    drafts = [_Draft(f"t{cluster.stem}", cluster.label, [cluster.guard]) for cluster in division.clusters()]
    return [*drafts, _Draft("t_other", "other", [])], split


def _key_drafts(split: Split) -> list[_Draft]:
    drafts = []
    for path, rest in split.leaves():
        guards: list[Guard] = [_guard(*step) for step in path]
        digits = "_".join(f"{value:02x}" for _, _, value in path)
        label = " ".join(_label(*step) for step in path)
        if not path:
            drafts.append(_Draft("t_other", "other", []) if rest else _Draft("t_all", "all", []))
        elif rest:
            drafts.append(_Draft(f"t{digits}_other", f"{label} other", guards))
        else:
            drafts.append(_Draft(f"t{digits}", label, guards))
    return drafts


def _guard(offset: int, mask: int, value: int) -> ValueGuard:
    return ValueGuard(offset=offset, width=1, mask=_mask(mask), values=[bytes([value])])


def _label(offset: int, mask: int, value: int) -> str:
    return f"[{offset}]=0x{value:02x}" if mask == 0xFF else f"[{offset}]&0x{mask:02x}=0x{value:02x}"


def _most_frequent(drafts: list[_Draft], view: MessageView, limit: int) -> list[_Draft]:
    """Keep the types with most messages, and the last one; what the others held falls to those that remain."""
    if len(drafts) <= limit:
        return drafts
    assigned = TypeModel([ProposedType(d.stem, d.label, d.guards) for d in drafts], None).assign(view)
    counts = np.bincount(assigned[assigned >= 0], minlength=len(drafts))
    counts[-1] = len(view) + 1
    kept = np.sort(np.argsort(-counts, kind="stable")[:limit])
    return [drafts[index] for index in kept.tolist()]


def _named(drafts: Iterable[_Draft]) -> list[ProposedType]:
    seen: dict[str, int] = {}
    types = []
    for draft in drafts:
        seen[draft.stem] = count = seen.get(draft.stem, 0) + 1
        types.append(ProposedType(draft.stem if count == 1 else f"{draft.stem}__{count}", draft.label, draft.guards))
    return types
