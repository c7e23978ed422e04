"""PyTorch to IR. `capture` imports a module, an exported program or a file; code in files runs only if trusted."""

from irc.frontend.capture import Captured, capture

__all__ = ["Captured", "capture"]
