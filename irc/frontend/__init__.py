"""PyTorch to IR: `capture` imports a module, an exported program or a file, without running code of files it is not told to trust."""

from irc.frontend.capture import Captured, capture

__all__ = ["Captured", "capture"]
