"""Real English sentences: the Python language reference, which Python carries as `pydoc_data.topics` (PSF licence)."""

from __future__ import annotations

import re
from pydoc_data import topics

SOURCE = "the Python language reference (pydoc_data.topics)"


def sentences(count: int) -> list[str]:
    """`count` different sentences of 6 to 40 words, spread evenly over all topics; no listings, tables or grammar."""
    found: dict[str, None] = {}
    for name in sorted(topics.topics):
        for block in re.split(r"\n\s*\n", topics.topics[name]):
            if re.search(r"::=|>>>|^\s{4}|\*\*\*|===|---|\|", block, re.MULTILINE):
                continue
            plain = re.sub(r"[`*\"“”]|\[\d+\]", "", " ".join(block.split()))
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", plain):
                if 6 <= len(sentence.split()) <= 40 and re.fullmatch(r"[A-Z][^=<>{}]*[a-z)][.!?]", sentence):
                    found[sentence] = None
    every = list(found)
    if len(every) < count:
        raise ValueError(f"{SOURCE} has only {len(every)} sentences")
    return [every[i * len(every) // count] for i in range(count)]
