"""
Known-bad content in messages, by YARA rules: a small set that is bundled, and the operator's own.

A finding is a flag and decides nothing: the message is read as any other. Each message is looked at by itself, so what
is cut into several messages is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic

import yara_x

from ..discovery.batch import MessageBatch, packet_and_part, place_text
from ..discovery.errors import InputError, LimitError

BUNDLED = Path(__file__).parent / "rules"
RULE_BYTES = 4 << 20
"""Most bytes of rules that are read."""
_MESSAGE_S = 2  # yara-x counts whole seconds
_PLACES = 3


@dataclass
class ScanFinding:
    """
    What one rule matched.

    Attributes:
        messages: how many. places: the first of them, as ``why`` and ``show`` write places: ``17`` or ``17.2``.
    """

    rule: str
    description: str
    messages: int = 0
    places: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = ", …" if self.messages > len(self.places) else ""
        return f"rule {self.rule} ({self.description}): {self.messages} messages: {', '.join(self.places)}{more}"


@dataclass(frozen=True)
class Scanned:
    """What a scan found, by rule; ``left_out`` messages were not looked at, or not to their end."""

    findings: list[ScanFinding]
    messages: int
    left_out: int

    def lines(self) -> list[str]:
        """Return one line a finding, and one where messages were left out."""
        said = [f"scan: {finding}" for finding in self.findings]
        if self.left_out:
            said.append(f"scan: {self.left_out} of {self.messages} messages were not looked at, for want of time")
        return said


class PayloadScan:
    """
    Looks for known-bad content.

    Args:
        rules: a file of rules, or a folder of ``*.yar``, beside the bundled ones. seconds: what one scan may take.

    Raises:
        InputError: a file is missing or its rules cannot be compiled. LimitError: there are too many bytes of them.
    """

    def __init__(self, rules: Path | None = None, *, seconds: float = 20.0) -> None:
        self._rules, self._seconds = _compiled((BUNDLED, *([rules] if rules else []))), seconds

    def scan(self, batches: Iterable[MessageBatch], stopped: Callable[[], bool] = lambda: False) -> Scanned:
        """Look at all messages, for as long as there is time and nobody stops it."""
        scanner = yara_x.Scanner(self._rules)
        scanner.set_timeout(_MESSAGE_S)
        scanner.max_matches_per_pattern(1)
        until, found, messages, left_out = monotonic() + self._seconds, dict[str, ScanFinding](), 0, 0
        for batch in batches:
            view = batch.view()
            messages += len(view)
            for row in range(len(view)):
                if monotonic() > until or stopped():
                    left_out += len(view) - row
                    break
                try:
                    matching = scanner.scan(view.payload(row)).matching_rules
                except yara_x.TimeoutError:
                    left_out += 1
                    continue
                for rule in matching:
                    _note(found, rule, place_text(*packet_and_part(int(view.number[row]))))
        return Scanned(sorted(found.values(), key=lambda finding: finding.rule), messages, left_out)


def _note(found: dict[str, ScanFinding], rule: yara_x.Rule, place: str) -> None:
    description = str(dict(rule.metadata).get("description", "no description"))[:120]
    finding = found.setdefault(rule.identifier, ScanFinding(rule.identifier, description))
    finding.messages += 1
    if len(finding.places) < _PLACES:
        finding.places.append(place)


@lru_cache(maxsize=4)
def _compiled(places: tuple[Path, ...]) -> yara_x.Rules:
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)
    size = 0
    for path in _files(places):
        try:
            source = path.read_bytes()
            size += len(source)
            if size > RULE_BYTES:
                raise LimitError(f"more than {RULE_BYTES} bytes of rules", where=str(path), hint="name fewer rules")
            compiler.new_namespace(str(path))
            compiler.add_source(source.decode())
        except (OSError, UnicodeDecodeError, yara_x.CompileError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"no YARA rules: {reason}", where=str(path), hint="`yr check` tells more") from None
    return compiler.build()


def _files(places: Sequence[Path]) -> Iterable[Path]:
    for place in places:
        yield from sorted(place.glob("*.yar")) if place.is_dir() else [place]
