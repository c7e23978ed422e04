"""Presets: pipelines by name. Order is data; each line says why it is in this order."""

# Canonical forms first so that folding sees batch norms and masks in one shape; merging and removal come last.
CLEAN = "canonicalize,fold,canonicalize,cse,dce"

# Quantization starts from f32. Integers have no attention as a whole and no quotients. Clean first, so that norms that
# are written out as quotients are found and indices of lookups are known; clean again, for the forms of what is split.
_SPLIT = f"widen,{CLEAN},decompose,{CLEAN}"

# Outlier channels go before ranges are taken; `smooth` is told the bits that will follow.
# `qdq`: quantized as other runtimes read it, with floats between the codes; `quant`: integers only.
_INTEGERS = "integerize,fold,cse,dce"

# W8A8: ranges are taken on the clean float graph, so that what is folded away is never observed.
_W8A8 = f"{_SPLIT},smooth,calibrate,quantize{{weights=8}}"
QDQ8, QUANT8 = f"{_W8A8},dce", f"{_W8A8},{_INTEGERS}"

# W4A8: 4-bit weights except in the first and the last layer.
_W4A8 = f"{_SPLIT},smooth{{weights=4}},calibrate,quantize{{weights=4}}"
QDQ4, QUANT4 = f"{_W4A8},dce", f"{_W4A8},{_INTEGERS}"

# W4A4: those layers' input activations at 4 bits too; residual stream, norms and softmax stay at 8 bits or more.
_W4A4 = f"{_SPLIT},smooth{{weights=4 inputs=4}},calibrate,quantize{{weights=4 inputs=4}}"
QDQ4A4, QUANT4A4 = f"{_W4A4},dce", f"{_W4A4},{_INTEGERS}"

# W4 with float activations, a scale for every 32 weights of a row: memory, not arithmetic; nothing is to be split.
WEIGHT4 = f"widen,{CLEAN},quantize{{weights=4 activations=none group=32}},dce"
