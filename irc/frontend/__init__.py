"""PyTorch (`capture`) and ONNX (`onnx`) to IR. Code in files runs only if the user trusts it.

Nothing is imported here: ONNX needs no torch.
"""
