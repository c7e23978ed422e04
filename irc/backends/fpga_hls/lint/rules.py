"""The rules by name, and why each is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from irc.backends.fpga_hls.lint.dataflow_rules import channel_ends, dataflow_form
from irc.backends.fpga_hls.lint.facts import Facts
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.index_rules import partitioned_index
from irc.backends.fpga_hls.lint.loop_rules import loop_bound, pipelined_loop
from irc.backends.fpga_hls.lint.pragma_rules import pragma_name, pragma_option, pragma_place, pragma_variable
from irc.backends.fpga_hls.lint.software_rules import allocation, recursion, software


@dataclass(frozen=True)
class Rule:
    """What a rule looks for, and what the tool does where it finds that."""

    find: Callable[[Facts], Iterator[Finding]]
    reason: str


RULES: dict[str, Rule] = {
    "pragma-name": Rule(
        pragma_name, "a pragma with an unknown name is ignored, like any that a compiler does not know"
    ),
    "pragma-option": Rule(pragma_option, "a pragma with a wrong option is ignored or refused"),
    "pragma-place": Rule(pragma_place, "a pragma belongs to the block around it, and does nothing to another"),
    "pragma-variable": Rule(pragma_variable, "a pragma about an unknown variable is ignored"),
    "loop-bound": Rule(loop_bound, "a loop without a bound has no latency, and cannot be unrolled or balanced"),
    "pipelined-loop": Rule(pipelined_loop, "loops inside a pipelined one are unrolled, or it is not pipelined"),
    "recursion": Rule(recursion, "hardware has no stack: recursive functions are refused"),
    "allocation": Rule(allocation, "hardware has no heap: memories have a size when they are built"),
    "software": Rule(software, "what needs a processor or an operating system is refused"),
    "dataflow-form": Rule(dataflow_form, "a region is run in sequence if there is more in it than calls of processes"),
    "channel-ends": Rule(channel_ends, "a channel of a region has one producer and one consumer, or it is serialised"),
    "partitioned-index": Rule(
        partitioned_index, "registers that are chosen at run time need a multiplexer, which costs LUTs and time"
    ),
}
