"""What flows say of columns, and columns of their neighbours, on messages whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import find_types
from qbitel.discovery.types.columns import Columns, entropies, shared_bits, value_counts
from qbitel.discovery.types.conversations import Conversations
from qbitel.discovery.types.keys import weigh

SETTINGS = DiscoverySettings()
TURNS = 200


def exchanges(seed: int) -> list[bytes]:
    """Questions of four kinds and their answers, which set the high bit of the kind; noise follows."""
    draw = random.Random(seed)
    messages = []
    for _ in range(TURNS):
        kind = draw.randrange(4)
        messages += [bytes([kind]) + draw.randbytes(7), bytes([kind | 0x80]) + draw.randbytes(7)]
    return messages


def sample_of(payloads: list[bytes], flows: bool = True) -> Sample:
    """Return the sample of messages that alternate between the ends of one flow, or of no flow."""
    n = len(payloads)
    directions = [1 + row % 2 for row in range(n)] if flows else [0] * n
    batch = MessageBatch.from_payloads(
        payloads, flow=[int(flows)] * n, direction=directions, ts=list(map(float, range(n)))
    )
    return StatisticalAnalyzer(SETTINGS).analyze(batch).sample()


def test_the_kind_of_an_answer_follows_from_the_kind_of_its_question() -> None:
    """The byte that answers repeat in another form is told from a byte of noise."""
    flows = Conversations.read(sample_of(exchanges(1)))
    assert flows.answers(0) == 1.0
    coarse = replace(flows, values=flows.values & 3)  # few values, so that chance agreement is small
    assert coarse.answers(0) == 1.0 and coarse.answers(3) < 0.3


def test_messages_kept_back_answer_nothing() -> None:
    """No turn begins or ends with a message that is kept from proposing."""
    sample = sample_of(exchanges(2))
    flows = Conversations.read(sample)
    kept_back = {sample.view.payload(row) for row in np.flatnonzero(sample.held_out)}
    rows = np.concatenate([flows.turns, flows.turns + 1])
    assert len(flows.turns) and not {sample.flows.view.payload(row) for row in rows} & kept_back


def test_without_flows_nothing_is_answered() -> None:
    """Messages of no known flow and direction make no turns, and types are found all the same."""
    sample = sample_of(exchanges(3), flows=False)
    assert Conversations.read(sample).answers(0) == 0.0
    assert find_types(sample, SETTINGS).types


def test_bytes_of_one_identifier_tell_of_each_other() -> None:
    """Neighbouring bytes of one of eight identifiers share three bits, independent ones next to nothing."""
    draw = random.Random(4)
    identifiers = [bytes([n * 31, 255 - n * 7]) for n in range(8)]
    payloads = [draw.choice(identifiers) + bytes([draw.randrange(4), draw.randrange(4), 7]) for _ in range(800)]
    values = Columns.read(MessageBatch.from_payloads(payloads).view()).values[:5]
    shared = shared_bits(values, entropies(value_counts(values)))
    assert shared[0] == shared[-1] == shared[4] == 0.0
    assert shared[1] > 2.9 and max(shared[2], shared[3]) < 0.1


def test_an_identifier_is_no_key() -> None:
    """The byte that decides the layout is the key, not the bytes of an identifier before it."""
    draw = random.Random(5)
    sessions = [draw.randbytes(4) for _ in range(12)]
    bodies = [lambda: b"\x00" * 10, lambda: draw.randbytes(10), lambda: b"\xff" * 4 + draw.randbytes(6)]
    payloads = []
    for _ in range(400):
        kind = draw.randrange(3)
        payloads.append(draw.choice(sessions) + bytes([kind]) + bodies[kind]() + draw.randbytes(2))
    key = find_types(sample_of(payloads), SETTINGS).key
    assert key is not None and key.offset == 4


def sessions(seed: int) -> Sample:
    """Twelve flows; each has a version of its own (one of three), every message a command, which a setting follows."""
    draw = random.Random(seed)
    payloads, flow = [], []
    for number in range(1, 13):
        version = number % 3
        for _ in range(24):
            command = draw.randrange(3)
            body = draw.randbytes(8) if version else bytes(4) + draw.randbytes(4)
            payloads.append(bytes([7, version, command]) + body + draw.randbytes(2))
            flow.append(number)
    batch = MessageBatch.from_payloads(
        payloads, flow=flow, direction=[1] * len(flow), ts=list(map(float, range(len(flow))))
    )
    return StatisticalAnalyzer(SETTINGS).analyze(batch).sample()


def test_what_stays_in_each_flow_is_told_from_what_changes() -> None:
    """The version is of the flow, the command is not; a path that few flows have messages of tells nothing."""
    flows = Conversations.read(sessions(6))
    assert flows.stays(1, ((0, 0xFF, 7),)) and not flows.stays(2, ((0, 0xFF, 7),))
    assert not flows.stays(1, ((0, 0xFF, 8),))


def test_a_nested_key_varies_within_flows() -> None:
    """A column that explains the layout, but keeps its value in a flow, is no key below another."""
    columns = Columns.read((sample := sessions(7)).view)
    nested = weigh(columns, Conversations.read(sample), 1.0, ((0, 0xFF, 7),))
    first = weigh(columns, Conversations.read(sample), 1.0)
    assert {c.offset: c.objection for c in nested}[1] == "keeps its value in a flow"
    assert {c.offset: c.objection for c in first}[1] == ""
