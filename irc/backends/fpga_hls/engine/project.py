"""All files of a project with an engine, by name."""

from __future__ import annotations

from irc.backends.fpga_hls.emit.codes import codes_script
from irc.backends.fpga_hls.emit.scripts import makefile, run_hls
from irc.backends.fpga_hls.engine.bench import testbench
from irc.backends.fpga_hls.engine.emit import layer_table, top_header, top_source
from irc.backends.fpga_hls.engine.guide import guide
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.engine.reports import Costs
from irc.backends.fpga_hls.project import Samples, templates
from irc.backends.fpga_hls.testbench import golden_header
from irc.backends.fpga_hls.utilisation import Bill


def sources(plan: Plan, name: str) -> dict[str, str]:
    """The synthesizable part."""
    files = {
        f"{name}.h": top_header(plan, name),
        f"{name}.cpp": top_source(plan, name),
        "layers.h": layer_table(plan, name),
    }
    files |= templates(files)
    return files


def memories(plan: Plan) -> dict[str, bytes]:
    """What the memories hold before the first run."""
    return {"activations.bin": plan.constants, "weights.bin": plan.weights, "parameters.bin": plan.parameters}


def project(plan: Plan, known: Costs, name: str, bill: Bill, clock: float, samples: Samples) -> dict[str, str | bytes]:
    """Everything for a part at a clock (MHz): sources, a test bench with golden vectors, memories, scripts, a guide."""
    return {
        **sources(plan, name),
        **memories(plan),
        "tb.cpp": testbench(plan, name),
        "golden.h": golden_header(plan, samples),
        "codes.py": codes_script(plan.inputs, plan.outputs),
        "Makefile": makefile(name),
        "run_hls.tcl": run_hls(name, bill.part, clock, tuple(memories(plan))),
        "README.md": guide(plan, known, name, bill, clock),
    }
