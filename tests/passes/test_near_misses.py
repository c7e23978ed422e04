"""Rules say why they did not apply."""

from __future__ import annotations

import pytest

from irc.ir.parser import parse
from irc.ir.rewrite import NearMiss
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline


def misses(pass_name: str, body: str, inputs: str, result: str, where: str = "") -> list[NearMiss]:
    """What the rules of a pass report on a function with this body, which returns %y."""
    found: list[NearMiss] = []
    module = parse(f"func @main({inputs}) -> {result}{where} {{\n{body}\nreturn %y\n}}")
    run_pipeline(pass_name, module, PassContext(explain=found.append))
    return found


CASES = [
    # canonicalize: norms
    (
        "WrittenNorm",
        "canonicalize",
        "%y = div %x, %x : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "it is no value times the inverse root of its mean square",
    ),
    (
        "NormScale",
        "canonicalize",
        "%c = const [2.0, 1.0] : f32[2]\n%n = layer_norm %x {axes = 2} : f32[2, 2]\n%y = mul %n, %c : f32[2, 2]",
        "%x: f32[2, 2]",
        "f32[2, 2]",
        "its rows are several axes",
    ),
    # decompose
    (
        "QuotientAsProduct",
        "decompose",
        "%c = const 3.0 : f32[]\n%q = div %x, %c : f32[2]\n%f = floor %q : f32[2]\n%y = cast %f : i32[2]",
        "%x: f32[2]",
        "i32[2]",
        "an integer is made of the quotient",
    ),
    (
        "GatherAsSlices",
        "decompose",
        "%c = const [3.0, 4.0] : f32[2]\n%i = const [1, 0] : i64[2]\n%y = gather %c, %i : f32[2]",
        "",
        "f32[2]",
        "it looks up a constant table",
    ),
    (
        "GatherAsSlices",
        "decompose",
        "%i = const #0123456789abcdef : i64[2]\n%y = gather %x, %i : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the size of the axis or the indices are not known",
    ),
    (
        "GatherAsSlices",
        "decompose",
        f"%i = const {list(range(99, -1, -1))} : i64[100]\n%y = gather %x, %i : f32[100]",
        "%x: f32[100]",
        "f32[100]",
        "the indices are 100 slices, more than 64",
    ),
    # masks
    (
        "AdditiveMask",
        "canonicalize",
        "%z = const 0.0 : f32[]\n%n = const -1e4 : f32[]\n%m = where %k, %z, %n : f32[2]\n"
        "%s = add %x, %m : f32[2]\n%y = softmax %s : f32[2]",
        "%x: f32[2], %k: bool[2]",
        "f32[2]",
        "rows may keep nothing, and scores do not vanish beside -10000",
    ),
    (
        "AdditiveAttentionMask",
        "canonicalize",
        "%z = const 0.0 : f32[]\n%n = const -1e9 : f32[]\n%m = where %k, %z, %n : f32[2, 2]\n"
        "%y = sdpa %x, %x, %x, %m {scale = 1.0} : f32[2, 2]",
        "%x: f32[2, 2], %k: bool[2, 2]",
        "f32[2, 2]",
        "rows may keep nothing, and the mask is finite",
    ),
    # canonicalize: arithmetic
    ("ConstantRight", "canonicalize", "%y = sub %x, %x : f32[2]", "%x: f32[2]", "f32[2]", "sub does not commute"),
    (
        "ConstantRight",
        "canonicalize",
        "%y = add %x, %x : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the constant is not on the left only",
    ),
    (
        "DivisionByConstant",
        "canonicalize",
        "%c = const 1e-45 : f32[]\n%y = div %x, %c : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "a reciprocal is zero, infinite or subnormal",
    ),
    (
        "DivisionByConstant",
        "canonicalize",
        "%c = const 41.0 : f32[]\n%q = div %x, %c : f32[2]\n%r = reshape %q : f32[2, 1]\n%y = floor %r : f32[2, 1]",
        "%x: f32[2]",
        "f32[2, 1]",
        "the reciprocal is rounded, and a step such as floor sees the last bit of the quotient",
    ),
    (
        "SubtractionOfConstant",
        "canonicalize",
        "%c = const 1 : i32[]\n%y = sub %x, %c : i32[2]",
        "%x: i32[2]",
        "i32[2]",
        "the operands are integers",
    ),
    (
        "NeutralElement",
        "canonicalize",
        "%c = const 2.0 : f32[]\n%y = mul %x, %c : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the constant is not 1",
    ),
    (
        "NeutralElement",
        "canonicalize",
        "%c = const 1 : i32[]\n%y = mul %x, %c : i32[2]",
        "%x: i8[2]",
        "i32[2]",
        "the result is i32[2], the operand i8[2]",
    ),
    (
        "ConstantCondition",
        "canonicalize",
        "%c = const [true, false] : bool[2]\n%y = where %c, %x, %x : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the condition is not the same everywhere",
    ),
    (
        "ExtremumWithConstant",
        "canonicalize",
        "%c = const [1.0, 2.0] : f32[2]\n%y = maximum %x, %c : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the constant is not one number",
    ),
    (
        "ExtremumWithConstant",
        "canonicalize",
        "%c = const [1.0, 1.0] : f32[2]\n%y = maximum %x, %c : f32[2]",
        "%x: f32[]",
        "f32[2]",
        "the constant broadcasts the operand",
    ),
    ("OpenClamp", "canonicalize", "%y = clamp %x {lo = 1.0} : f32[2]", "%x: f32[2]", "f32[2]", "it has a bound"),
    (
        "ClampToRelu",
        "canonicalize",
        "%y = clamp %x {lo = 1.0} : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "its bounds are not 0 and none",
    ),
    (
        "ClampToRelu",
        "canonicalize",
        "%y = clamp %x {lo = 0.0} : i8[2]",
        "%x: i8[2]",
        "i8[2]",
        "relu is for floats",
    ),
    (
        "MergeCasts",
        "canonicalize",
        "%a = cast %x : i8[2]\n%y = cast %a : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "i8 does not hold every f32",
    ),
    # canonicalize: movement
    (
        "Identity",
        "canonicalize",
        "%y = reshape %x : f32[2, 3]",
        "%x: f32[6]",
        "f32[2, 3]",
        "f32[6] becomes f32[2, 3]",
    ),
    (
        "IdentityPermute",
        "canonicalize",
        "%y = permute %x {order = [1, 0]} : f32[3, 2]",
        "%x: f32[2, 3]",
        "f32[3, 2]",
        "the order is [1, 0]",
    ),
    (
        "ShorterConcat",
        "canonicalize",
        "%y = concat %x, %x {axis = 0} : f32[4]",
        "%x: f32[2]",
        "f32[4]",
        "2 tensors are joined",
    ),
    (
        "MergeReshapes",
        "canonicalize",
        "%a = expand %x : f32[2, 3]\n%y = reshape %a : f32[6]",
        "%x: f32[3]",
        "f32[6]",
        "expand inside reshape",
    ),
    (
        "MergeSlices",
        "canonicalize",
        "%a = slice %x {axis = 0, start = 0, stop = 1} : f32[1, 4]\n"
        "%y = slice %a {axis = 1, start = 0, stop = 2} : f32[1, 2]",
        "%x: f32[4, 4]",
        "f32[1, 2]",
        "axes 0 and 1 differ",
    ),
    (
        "MergeSlices",
        "canonicalize",
        "%a = slice %x {axis = 0, start = 0, stop = 8, step = 2} : f32[4]\n"
        "%y = slice %a {axis = 0, start = 0, stop = 2} : f32[2]",
        "%x: f32[8]",
        "f32[2]",
        "the first step is 2",
    ),
    (
        "MergePads",
        "canonicalize",
        "%a = pad %x {before = [1], after = [0]} : f32[3]\n"
        "%y = pad %a {before = [0], after = [1], value = 1.0} : f32[4]",
        "%x: f32[2]",
        "f32[4]",
        "the values 0.0 and 1.0 differ",
    ),
    (
        "DropExpand",
        "canonicalize",
        "%a = expand %x : f32[2, 3]\n%y = add %a, %x : f32[2, 3]",
        "%x: f32[3]",
        "f32[2, 3]",
        "no operand is an expand that broadcasting replaces",
    ),
    # canonicalize: masks
    (
        "AdditiveMask",
        "canonicalize",
        "%a = add %x, %x : f32[2, 2]\n%y = softmax %a : f32[2, 2]",
        "%x: f32[2, 2]",
        "f32[2, 2]",
        "no operand is an additive mask",
    ),
    (
        "AdditiveMask",
        "canonicalize",
        "%m = const [0.0, -1e9] : f32[2]\n%a = add %x, %m : f32[2, 2]\n%y = relu %a : f32[2, 2]",
        "%x: f32[2, 2]",
        "f32[2, 2]",
        "the scores are read by relu, not only by softmax",
    ),
    (
        "FillOnTheRight",
        "canonicalize",
        "%a = where %m, %x, %x : f32[2, 2]\n%y = softmax %a : f32[2, 2]",
        "%x: f32[2, 2], %m: bool[2, 2]",
        "f32[2, 2]",
        "its first value is not a very negative constant",
    ),
    (
        "AdditiveAttentionMask",
        "canonicalize",
        "%y = sdpa %x, %x, %x {scale = 1.0} : f32[2, 2]",
        "%x: f32[2, 2]",
        "f32[2, 2]",
        "there is no float mask",
    ),
    (
        "AdditiveAttentionMask",
        "canonicalize",
        "%y = sdpa %x, %x, %x, %m {scale = 1.0} : f32[2, 2]",
        "%x: f32[2, 2], %m: f32[2, 2]",
        "f32[2, 2]",
        "the mask is not made of zeros and very negative numbers",
    ),
    # canonicalize: pooling and layers
    (
        "GlobalPool",
        "canonicalize",
        "%y = avg_pool %x {kernel = [2], stride = [2], padding = [0, 0]} : f32[1, 1, 2]",
        "%x: f32[1, 1, 4]",
        "f32[1, 1, 2]",
        "the window [2] is not the whole map",
    ),
    (
        "GlobalPool",
        "canonicalize",
        "%y = avg_pool %x {kernel = [4], stride = [1], padding = [1, 1]} : f32[1, 1, 3]",
        "%x: f32[1, 1, 4]",
        "f32[1, 1, 3]",
        "the map is padded",
    ),
    (
        "DropKeptDims",
        "canonicalize",
        "%a = mean %x {axes = [1]} : f32[4]\n%y = reshape %a : f32[2, 2]",
        "%x: f32[4, 3]",
        "f32[2, 2]",
        "the reduced dimensions are not kept",
    ),
    (
        "DropKeptDims",
        "canonicalize",
        "%a = mean %x {axes = [1], keepdims = true} : f32[4, 1]\n%y = reshape %a : f32[2, 2]",
        "%x: f32[4, 3]",
        "f32[2, 2]",
        "it drops other dimensions",
    ),
    (
        "MatmulByConstant",
        "canonicalize",
        "%w = const [[[1.0]], [[2.0]]] : f32[2, 1, 1]\n%y = matmul %x, %w : f32[2, 1, 1]",
        "%x: f32[2, 1, 1]",
        "f32[2, 1, 1]",
        "the constant is f32[2, 1, 1], expected a float matrix",
    ),
    (
        "MatmulByConstant",
        "canonicalize",
        "%w = const [[1.0, 0.0]] {mask = unstructured<[[true, false]]>} : f32[1, 2]\n%y = matmul %x, %w : f32[1, 2]",
        "%x: f32[1, 1]",
        "f32[1, 2]",
        "the mask of the constant would have to be transposed",
    ),
    # fold: layers
    (
        "FoldBatchNorm",
        "fold",
        "%w = const [[1.0], [2.0]] : f32[2, 1]\n%m = const [0.0, 1.0] : f32[2]\n%v = const [1.0, 1.0] : f32[2]\n"
        "%a = linear %x, %w : f32[1, 2, 2]\n%y = batch_norm %a, %m, %v : f32[1, 2, 2]",
        "%x: f32[1, 2, 1]",
        "f32[1, 2, 2]",
        "its channels are on axis 1, the layer's on 2",
    ),
    (
        "FoldBatchNorm",
        "fold",
        "%w = const [[1.0], [2.0]] : f32[2, 1]\n%a = linear %x, %w : f32[1, 2]\n%y = batch_norm %a, %m, %m : f32[1, 2]",
        "%x: f32[1, 1], %m: f32[2]",
        "f32[1, 2]",
        "its parameters are not constant",
    ),
    (
        "FoldBatchNorm",
        "fold",
        "%w = const [[1.0], [2.0]] : f32[2, 1]\n%m = const [0.0, 1.0] : f32[2]\n%v = const [0.0, 1.0] : f32[2]\n"
        "%a = linear %x, %w : f32[1, 2]\n%y = batch_norm %a, %m, %v {eps = 0.0} : f32[1, 2]",
        "%x: f32[1, 1]",
        "f32[1, 2]",
        "the folded weights are not finite",
    ),
    (
        "BatchNormAlone",
        "fold",
        "%m = const [0.0, 1.0] : f32[2]\n%v = const [0.0, 1.0] : f32[2]\n"
        "%y = batch_norm %x, %m, %v {eps = 0.0} : f32[1, 2]",
        "%x: f32[1, 2]",
        "f32[1, 2]",
        "its scales are not finite",
    ),
    (
        "FoldScale",
        "fold",
        "%c = const 2.0 : f32[]\n%a = linear %x, %w : f32[1, 1]\n%y = mul %a, %c : f32[1, 1]",
        "%x: f32[1, 1], %w: f32[1, 1]",
        "f32[1, 1]",
        "weights or bias are not constant",
    ),
    (
        "FoldScale",
        "fold",
        "%c = const [[2.0], [3.0]] : f32[2, 1]\n%w = const [[1.0]] : f32[1, 1]\n"
        "%a = linear %x, %w : f32[2, 1]\n%y = mul %a, %c : f32[2, 1]",
        "%x: f32[2, 1]",
        "f32[2, 1]",
        "the constant f32[2, 1] is not one number a channel",
    ),
    (
        "FoldOffset",
        "fold",
        "%c = const 2 : i32[]\n%w = const [[1]] : i8[1, 1]\n%a = linear %x, %w : i32[1, 1]\n"
        "%y = add %a, %c : i32[1, 1]",
        "%x: i8[1, 1]",
        "i32[1, 1]",
        "the weights are integers",
    ),
    (
        "FoldOffset",
        "fold",
        "%c = const 2.0 : f32[]\n%w = const [[1.0]] : f32[1, 1]\n%a = linear %x, %w : f32[1, 1]\n"
        "%b = add %a, %c : f32[1, 1]\n%y = mul %a, %b : f32[1, 1]",
        "%x: f32[1, 1]",
        "f32[1, 1]",
        "the result of linear has 2 readers, expected 1",
    ),
    # fold: constants
    (
        "MergeConstants",
        "fold",
        "%c = const 2.0 : f32[]\n%a = add %x, %c : f32[2]\n%y = mul %a, %c : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "add inside mul",
    ),
    (
        "MergeConstants",
        "fold",
        "%c = const 2e38 : f32[]\n%a = mul %x, %c : f32[2]\n%y = mul %a, %c : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the merged constant is not finite",
    ),
    (
        "MergeConstants",
        "fold",
        "%c = const [1.0, 2.0] : f32[2]\n%d = const [[1.0], [2.0]] : f32[2, 1]\n"
        "%a = mul %x, %c : f32[2]\n%y = mul %a, %d : f32[2, 2]",
        "%x: f32[2]",
        "f32[2, 2]",
        "the merged constant is larger than both",
    ),
    (
        "MergeConstants",
        "fold",
        "%c = const 12582912.0 : f32[]\n%d = const -12582912.0 : f32[]\n"
        "%a = add %x, %c : f32[2]\n%y = add %a, %d : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the constants have different signs",
    ),
    (
        "MergeConstants",
        "fold",
        "%c = const 0.1 : f32[]\n%a = mul %x, %c : f32[2]\n%b = mul %a, %c : f32[2]\n%y = round %b : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "a step such as floor sees the last bit of the result",
    ),
    (
        "FoldOffset",
        "fold",
        "%w = const [[1.0]] : f32[1, 1]\n%c = const 12582912.0 : f32[]\n%d = const -12582912.0 : f32[]\n"
        "%l = linear %x, %w : f32[1, 1]\n%a = add %l, %c : f32[1, 1]\n%y = add %a, %d : f32[1, 1]",
        "%x: f32[1, 1]",
        "f32[1, 1]",
        "a constant of the other sign is added next",
    ),
    (
        "MergeConstants",
        "fold",
        "%c = const 2 : i32[]\n%a = add %x, %c : i32[2]\n%y = add %a, %c : i32[2]",
        "%x: i32[2]",
        "i32[2]",
        "integer constants have encodings",
    ),
    (
        "FoldConstants",
        "fold{grow=2}",
        "%c = const [1.0, 2.0] : f32[2]\n%y = expand %c : f32[2, 2]",
        "",
        "f32[2, 2]",
        "the result has 4 elements, more than its operands and than 2",
    ),
    (
        "FoldConstants",
        "fold",
        "%y = relu %x : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "an operand is not a constant with loaded values",
    ),
    (
        "FoldConstants",
        "fold",
        "%w = const [1, 2] : i8<0.5>[2]\n%s = const 0.5 : f32[]\n%y = dequantize %w, %s : f32[2]",
        "",
        "f32[2]",
        "codes would lose their encoding",
    ),
    (
        "FoldConstants",
        "fold",
        "%w = const [0.0, 2.0] {mask = unstructured<[false, true]>} : f32[2]\n%y = relu %w : f32[2]",
        "",
        "f32[2]",
        "the mask of a constant would be lost",
    ),
    (
        "EmptyConstant",
        "fold",
        "%y = relu %x : f32[2]",
        "%x: f32[2]",
        "f32[2]",
        "the result is f32[2]",
    ),
    # fold: integers
    (
        "ImpliedClamp",
        "fold",
        "%y = clamp %x {lo = 0.0} : i8[2]",
        "%x: i8[2]",
        "i8[2]",
        "the operand holds -128 .. 127",
    ),
    ("ImpliedClamp", "fold", "%y = clamp %x {lo = 0.0} : f32[2]", "%x: f32[2]", "f32[2]", "floats have no range"),
    (
        "ClampBeforeRequantize",
        "fold",
        "%m = const 1 : i32[]\n%a = clamp %x {lo = 0.0} : i32[2]\n%y = requantize %a, %m {shift = 4} : i8[2]",
        "%x: i32[2]",
        "i8[2]",
        "saturation does not imply either bound",
    ),
    (
        "ClampBeforeRequantize",
        "fold",
        "%a = clamp %x {lo = 0.0} : i32[2]\n%y = requantize %a, %m {shift = 4} : u8[2]",
        "%x: i32[2], %m: i32[]",
        "u8[2]",
        "the multiplier is not a positive constant",
    ),
    (
        "NarrowRequantize",
        "fold",
        "%m = const 1 : i32[]\n%a = requantize %x, %m {shift = 4} : i16[2]\n"
        "%b = clamp %a {lo = -100.0, hi = 127.0} : i16[2]\n%y = cast %b : i8[2]",
        "%x: i32[2]",
        "i8[2]",
        "-100 .. 127 is not the range of i8",
    ),
    (
        "NeutralRequantize",
        "fold",
        "%m = const 17 : i32[]\n%y = requantize %x, %m {shift = 4} : i8[2]",
        "%x: i8[2]",
        "i8[2]",
        "the multiplier is not 1",
    ),
    (
        "NeutralRequantize",
        "fold",
        "%m = const 1.0 : f32[]\n%y = requantize %x, %m {mode = float} : i32[2]",
        "%x: i32[2]",
        "i32[2]",
        "not every i32 is a float",
    ),
    (
        "NeutralRequantize",
        "fold",
        "%m = const 16 : i32[]\n%y = requantize %x, %m {shift = 4} : i4[2]",
        "%x: i8[2]",
        "i4[2]",
        "i8 becomes i4",
    ),
    (
        "QuantizeOfDequantize",
        "fold",
        "%s = const 0.5 : f32[]\n%r = const 4.0 : f32[]\n%a = dequantize %x, %s : f32[2]\n"
        "%y = quantize %a, %r : i8<0.25>[2]",
        "%x: i8<0.5>[2]",
        "i8<0.25>[2]",
        "i8<0.5> becomes i8<0.25>",
    ),
    (
        "QuantizeOfDequantize",
        "fold",
        "%s = const 0.5 : f32[]\n%r = const 2.0 : f32[]\n%a = dequantize %x, %s : f32[2]\n"
        "%y = quantize %a, %r : i32<0.5>[2]",
        "%x: i32<0.5>[2]",
        "i32<0.5>[2]",
        "i32 has more than 16 bits",
    ),
    (
        "QuantizeOfDequantize",
        "fold",
        "%a = dequantize %x, %s : f32[2]\n%y = quantize %a, %s : i8<1.0>[2]",
        "%x: i8<1.0>[2], %s: f32[]",
        "i8<1.0>[2]",
        "the scales are not constants, so nothing ties them to the encoding",
    ),
    (
        "QuantizeOfDequantize",
        "fold",
        "%s = const 1e-37 : f32[]\n%r = const 1e37 : f32[]\n%a = dequantize %x, %s : f32[2]\n"
        "%y = quantize %a, %r : i8<1e-37>[2]",
        "%x: i8<1e-37>[2]",
        "i8<1e-37>[2]",
        "a product could leave the normal floats",
    ),
    (
        "MergeRescales",
        "fold",
        "%a = rescale %x {by = 0.3} : i8<0.3>[2]\n%y = rescale %a {by = 0.1} : i8<0.030000001>[2]",
        "%x: i8<1.0>[2]",
        "i8<0.030000001>[2]",
        "one factor would round the scale differently",
    ),
    (
        "FunctionOfTable",
        "fold",
        "%t = const [0, 1, 2, 3] : i8[4]\n%a = lut %x, %t : i8[2]\n"
        "%y = requantize %a, %m {shift = 4, axis = 0} : i8[2]",
        "%x: u2[2], %m: i32[2]",
        "i8[2]",
        "requantize has no single constant multiplier",
    ),
    (
        "FunctionOfTable",
        "fold",
        "%a = lut %x, %t : i8[2]\n%y = clamp %a {lo = 0.0} : i8[2]",
        "%x: u2[2], %t: i8[4]",
        "i8[2]",
        "the table is not constant",
    ),
    (
        "FunctionOfTable",
        "fold",
        "%t = const [0, 1, 2, 3] : i8[4]\n%m = const 1024 : i32[]\n%a = lut %x, %t : i8[2]\n"
        "%y = requantize %a, %m {shift = 1} : i24[2]",
        "%x: u2[2]",
        "i24[2]",
        "entries of i24 are too wide for a table",
    ),
    (
        "TableOfFunction",
        "fold",
        "%t = const [0, 1, 2, 3] : i8[4]\n%m = const 3 : i32[]\n%a = requantize %x, %m {shift = 1} : u2[2]\n"
        "%y = lut %a, %t : i8[2]",
        "%x: i16[2]",
        "i8[2]",
        "the operand has 16 bits, a table takes at most 8",
    ),
]


@pytest.mark.parametrize(
    ("rule", "pipeline", "body", "inputs", "result", "reason"), CASES, ids=[f"{c[0]}: {c[-1]}" for c in CASES]
)
def test_a_near_miss_has_a_reason(rule: str, pipeline: str, body: str, inputs: str, result: str, reason: str) -> None:
    found = [miss.reason for miss in misses(pipeline, body, inputs, result) if miss.rule == rule]
    assert any(reason in text for text in found), found


def test_a_miss_knows_its_place() -> None:
    (miss,) = {
        m
        for m in misses("canonicalize", '%y = sub %x, %x : f32[2]  at "a.b"', "%x: f32[2]", "f32[2]")
        if m.rule == "ConstantRight"
    }
    assert (miss.node, miss.loc.path) == ("sub", "a.b")


def test_a_symbolic_result_is_no_constant() -> None:
    body = "%c = const [1.0, 2.0] : f32[2]\n%e = expand %c : f32[n, 2]\n%y = concat %e, %x {axis = 0} : f32[n*2, 2]"
    found = misses("fold", body, "%x: f32[n, 2]", "f32[n*2, 2]", " where n in [1, 4]")
    assert "the result depends on a symbolic dimension" in [m.reason for m in found if m.rule == "FoldConstants"]
