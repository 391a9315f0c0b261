"""The grammar stage of a discovery: parse the sample, learn the grammar and the sequence of types."""

from __future__ import annotations

import numpy as np

from ..parser import Parser
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import UNKNOWN_TYPE, ProtocolSpec, quantise
from .learner import GrammarLearner
from .likelihood import Likelihood, usual_bits
from .sequence import learn_sequence
from .tokens import tokens_from_parsed


def learn_grammar(spec: ProtocolSpec, sample: Sample, settings: DiscoverySettings, parser: Parser) -> ProtocolSpec:
    """
    Return the specification with its grammar and sequence model.

    The grammar is learned from the distinct messages of the sample, each once, and judged on those held out; the
    sequence of types from the sampled flows. ``parser`` is the specification's.
    """
    tokens = tokens_from_parsed(parser.parse_batch(sample.view), settings.seed)
    grammar = GrammarLearner(settings).learn(
        tokens.sequences,
        tokens.vocabulary.names,
        held_out=sample.held_out,
        initial=tokens.initial,
        fields=np.array(tokens.vocabulary.fields, np.int64),
    )
    flows = sample.flows.view
    names = [*(t.name for t in spec.types), UNKNOWN_TYPE]
    in_flows = parser.parse_batch(flows)
    types = [names[index] for index in in_flows.type_index.tolist()]
    sequence = learn_sequence(flows.flow, types, flows.direction, settings.flow_messages)
    learned = spec.model_copy(update={"grammar": grammar, "sequence": sequence})
    # What was learned from is usual: a validator calls nothing a surprise that costs no more.
    likelihood = Likelihood(learned)
    rarest = usual_bits(likelihood.sequence_bits(in_flows, np.flatnonzero(flows.flow != 0)))
    return learned.model_copy(
        update={
            "sequence": sequence.model_copy(update={"usual_bits": quantise(rarest)}),
        }
    )
