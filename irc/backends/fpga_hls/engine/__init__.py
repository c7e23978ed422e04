"""The second architecture: one engine that all layers share, activations and weights in memory.

regions -> lower_*.py -> layers (program.py) on views of buffers (memory.py) -> plan.py: addresses, images -> emit.py
"""
