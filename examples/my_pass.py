"""A pass of your own: irc compile model.pt2 --load my_pass.py --passes 'drop-small{below=0.02},quant8'"""

from dataclasses import dataclass

import numpy as np

from irc import Data, Module, Pass, PassContext


@dataclass(frozen=True)
class DropSmall(Pass):
    """Set weights to 0 that are small beside the largest of their tensor."""

    name = "drop-small"
    effect = "lossy"
    below: float = 0.01  # a share of the largest

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if node.opname == "const" and node.value.scalar.is_float and len(node.value.shape) > 1:
                w = node.value.array
                node.value = Data.of(np.where(abs(w) < self.below * abs(w).max(), 0, w))
