"""How each ONNX operator becomes ops of the IR: one file a family, named as in `irc/ir/ops`."""

from __future__ import annotations

import difflib

from irc.frontend.onnx.ops import (
    bits,
    image,
    linear,
    math,
    microsoft,
    norm,
    pool,
    qonnx,
    quant,
    recurrent,
    scatter,
    structure,
    tensor,
)
from irc.frontend.onnx.table import CONVERTERS

__all__ = ["CONVERTERS", "REASONS", "nearest"]
FAMILIES = (
    bits,
    image,
    linear,
    math,
    microsoft,
    norm,
    pool,
    qonnx,
    quant,
    recurrent,
    scatter,
    structure,
    tensor,
)  # importing them fills the table
DATA = "the size of its result depends on the data"
RANDOM = "its result is random"
SEQUENCES = "sequences of tensors"
TEXTS = "texts"
LOOPS = "loops over graphs"
REASONS: dict[tuple[str, str], str] = {
    ("", name): reason
    for reason, names in {
        DATA: "NonZero Compress Unique NonMaxSuppression",
        RANDOM: "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial",
        SEQUENCES: "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap "
        "ConcatFromSequence SplitToSequence Optional OptionalGetElement OptionalHasElement",
        TEXTS: "StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer",
        LOOPS: "Loop",
    }.items()
    for name in names.split()
}


def nearest(operator: str) -> str:
    """What to do about an unsupported operator; names a supported one that is spelled nearly the same."""
    names = sorted({name for _, name in CONVERTERS})
    close = difflib.get_close_matches(operator, names, n=1, cutoff=0.8)
    similar = f"the nearest supported operator is {close[0]}; " if close else ""
    return f"{similar}replace the layer, or write it with supported operators"
