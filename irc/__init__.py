"""A compiler for compressed neural networks. Names load on use, so that `import irc` costs nothing.

artifact = irc.compile("model.pt2", passes="quant4,fuse", backend="hls", calib={"x": images})
module = irc.capture(torch_module, example_inputs)
small = module.apply("quant8,fuse")
print(small)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from irc.tables import API
from irc.version import __version__ as __version__

if TYPE_CHECKING:
    from irc.backends.artifact import Artifact as Artifact
    from irc.backends.base import Backend as Backend
    from irc.backends.base import Job as Job
    from irc.driver import apply as apply
    from irc.driver import capture as capture
    from irc.driver import compile as compile
    from irc.driver import load as load
    from irc.ir.builder import Builder as Builder
    from irc.ir.constants import Data as Data
    from irc.ir.diagnostics import IrcError as IrcError
    from irc.ir.graph import Graph as Graph
    from irc.ir.graph import Module as Module
    from irc.ir.interpret import interpret as interpret
    from irc.ir.op import Op as Op
    from irc.ir.parser import parse as parse
    from irc.ir.rewrite import Rule as Rule
    from irc.passes.base import Pass as Pass
    from irc.passes.base import PassContext as PassContext
    from irc.plugins import Plugin as Plugin
    from irc.tools.bisect import bisect as bisect
    from irc.tools.check import check as check
    from irc.tools.compare import compare as compare
    from irc.tools.params.export import export_params as export_params
    from irc.tools.reduce import reduce as reduce
    from irc.tools.sensitivity import sensitivity as sensitivity


def __getattr__(name: str) -> Any:
    if name in API:
        return API.get(name)
    raise AttributeError(f"module 'irc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*API.names(), "__version__"]
