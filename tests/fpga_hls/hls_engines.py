"""Engines as trials beside dataflow designs: many in one program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hls_designs import Trial

from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.engine.build import build
from irc.backends.fpga_hls.engine.emit import PORTS, byte_of
from irc.backends.fpga_hls.engine.plan import Plan, planned
from irc.backends.fpga_hls.engine.program import Size
from irc.backends.fpga_hls.engine.project import memories, sources
from irc.backends.fpga_hls.simulation import codes_of
from irc.ir.graph import Module
from irc.ir.scalars import Array

SMALL = Size(16, 16, 128, 2, 2), Size(32, 32, 64, 1), Size(16, 128, 16, 3), Size(16, 128, 16, 4, 2)
"""Sizes of which even small layers take several tiles."""


@dataclass
class EngineTrial(Trial):
    """An engine with samples and what has to come out of it."""

    design: Plan  # type: ignore[assignment]

    @staticmethod
    def of(name: str, module: Module, calls: Sequence[Sequence[Array]], rng: np.random.Generator) -> EngineTrial:
        """A trial of a legalised module on calls of main, of a size at random. Raises IrcError as `build` does."""
        plan = planned(build(module.functions[ACCELERATOR]), SMALL[int(rng.integers(len(SMALL)))])
        pairs = [codes_of(module, call) for call in calls]
        return EngineTrial(name, plan, [given for given, _ in pairs], [wanted for _, wanted in pairs])

    def files(self) -> dict[str, str]:
        return sources(self.design, self.name)

    def memories(self) -> dict[str, bytes]:
        return memories(self.design)

    def call(self, folder: Path) -> list[str]:
        plan = self.design
        sizes = {"activations": plan.activation_bytes, "weights": len(plan.weights), "parameters": len(plan.parameters)}
        lines = ["{"]
        for memory, size in sizes.items():
            lines.append(f"static irc::Word {memory}[{size // 16}];")
            lines.append(f'std::FILE* {memory}_file = std::fopen("{folder / memory}.bin", "rb");')
            lines.append(f"if (std::fread({memory}, 1, {size}, {memory}_file) > {size}) return 4;")
            lines.append(f"std::fclose({memory}_file);")
        lines.append("uint8_t* const bytes = reinterpret_cast<uint8_t*>(activations);")
        lines.append(f"for (int i = 0; i < {len(self.inputs)}; i++) {{")
        for port in plan.inputs:
            size = port.count * port.code.port_bits // 8
            lines.append(f"if (std::fread(bytes + {byte_of(port)}, {size}, 1, in) != 1) return 2;")
        given = {"weights": "weights", "parameters": "parameters", "from": "bytes", "to": "bytes"}
        lines.append(f"{self.name}({', '.join(given.get(port, 'activations') for port in PORTS)});")
        for port in plan.outputs:
            size = port.count * port.code.port_bits // 8
            lines.append(f"if (std::fwrite(bytes + {byte_of(port)}, {size}, 1, out) != 1) return 3;")
        return [*lines, "}", "}"]
