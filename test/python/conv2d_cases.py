# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions that the tests of bq::conv2d share, with bounds of their rounding errors."""

import unittest

import torch
from torch.nn.functional import conv2d

import bqtest  # noqa: F401 (loads the operators)

bq = torch.ops.bq
UNIT = 2.0**-24


class Case:
    """A convolution, its weight as (codes, scales, zeros), and what that stands for in double precision."""

    def __init__(self, fmt, shape, size, stride=1, padding=0, dilation=1, groups=1, batch=2, dtype=torch.float32):
        self.fmt, self.shape, self.steps = fmt, list(shape), (stride, padding, dilation, groups)
        weight = torch.randn(shape).to(dtype)
        codes, scales, zeros = bq.quantize(weight, fmt)
        self.weight = (codes, scales, zeros)
        self.exact = bq.dequantize(codes, scales.float(), zeros, fmt, shape).double()
        self.x = torch.randn(batch, shape[1] * groups, *size).to(dtype)
        self.bias = torch.randn(shape[0])
        # Above the magnitude of every weight, and of what its zero point adds to it.
        self.largest = 2 * float(self.exact.abs().max())
        if zeros.numel():
            self.largest += float(scales.abs().max()) * 2 ** int(fmt[4])

    def run(self, x, bias=None, compute="f32", activation="none"):
        return bq.conv2d(x, *self.weight, bias, self.fmt, self.shape, *self.steps, compute, activation)

    def packed(self):
        return torch.classes.bq.PackedWeight(*self.weight, self.fmt, self.shape)

    def expected(self, x, bias=None):
        return conv2d(x.double(), self.exact, None if bias is None else bias.double(), *self.steps)

    def magnitude(self, x):
        """The sums of |x| under each patch, over all channels of its group."""
        return conv2d(x.double().abs(), torch.ones(self.shape, dtype=torch.double), None, *self.steps)

    @property
    def terms(self):
        return self.shape[1] * self.shape[2] * self.shape[3]

    def bound(self, x):
        """As bqtest.sum_bound: K products in any order, each of a weight with 3 roundings of its own."""
        return (self.terms + 6) * UNIT * (self.magnitude(x) * self.largest + 10) + 1e-30


CASES = [
    ("int4", (8, 3, 3, 3), (7, 9)),
    ("int4:g16", (5, 16, 3, 3), (6, 6), 1, 1),
    ("uint4:g16", (5, 32, 3, 1), (9, 7), 2, (1, 0)),
    ("uint3:g8", (6, 8, 2, 3), (8, 8), (2, 1), (2, 1), (1, 2)),
    ("int8:g64", (4, 16, 2, 2), (5, 6), 3, 1),
    ("nf4:g16", (7, 16, 1, 1), (4, 5)),
    ("uint1", (9, 5, 3, 3), (6, 5), 1, 2, 2),
    ("sign", (4, 6, 3, 3), (5, 5), 1, 1),
    ("int4:g7", (4, 12, 3, 3), (5, 5), 1, 1),
    ("int2", (6, 1, 3, 3), (8, 6), 1, 1, 1, 6),
    ("uint4:g8", (8, 8, 3, 3), (6, 7), 2, 1, 1, 2),
    ("fp4:g4", (12, 4, 1, 1), (5, 3), 2, 0, 1, 3),
    ("sign", (6, 4, 1, 1), (5, 5), 1, 0, 1, 2),
    ("uint4", (8, 2, 3, 3), (6, 7), 2, 1, 1, 4),
    ("nf4", (12, 1, 3, 3), (5, 6), 1, 1, 1, 12),
    ("fp4", (32, 4, 2, 2), (5, 6), 1, 1, 1, 8),
]


class WithinBounds(unittest.TestCase):
    def assert_within(self, actual, expected, bound):
        error = (actual.double() - expected).abs()
        self.assertEqual(actual.shape, expected.shape)
        self.assertTrue(bool((error <= bound).all()), f"error {error.max()} over bound {bound}")
