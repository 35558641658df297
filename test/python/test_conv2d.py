# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""bq::conv2d against convolutions of the dequantized weight in double precision, and what it refuses."""

import unittest

import torch
from torch.library import opcheck

from bqtest import ACTIVATIONS
from conv2d_cases import CASES, UNIT, Case, WithinBounds

bq = torch.ops.bq


class OpCheck(unittest.TestCase):
    def test_conv2d(self):
        for arguments in CASES[:3] + CASES[-3:]:
            case = Case(*arguments)
            for memory in (torch.contiguous_format, torch.channels_last):
                x = case.x.to(memory_format=memory).requires_grad_()
                opcheck(bq.conv2d.default, (x, *case.weight, case.bias.requires_grad_(), case.fmt, case.shape, *case.steps,
                                            "f32", "silu"))

    def test_input_gradients(self):
        for arguments in CASES[1:4]:
            case = Case(*arguments)
            upstream = torch.randn_like(case.run(case.x)).requires_grad_()
            opcheck(bq.conv2d_input_gradient.default,
                    (upstream, *case.weight, case.fmt, case.shape, list(case.x.shape), *case.steps))
            matrix = bq.quantize(torch.randn(9, 24), "uint4:g16")
            opcheck(bq.linear_input_gradient.default, (torch.randn(2, 9, requires_grad=True), *matrix, "uint4:g16", 24))


class Values(WithinBounds):
    def test_is_the_convolution_of_the_dequantized_weight(self):
        for arguments in CASES:
            for name, activation in ACTIVATIONS.items():
                with self.subTest(case=arguments, activation=name):
                    case = Case(*arguments)
                    expected = activation(case.expected(case.x, case.bias))
                    # No activation is steeper than 1.13, and its own rounding is a few units in f32.
                    bound = 1.13 * case.bound(case.x) + 8 * UNIT * (expected.abs() + 1)
                    self.assert_within(case.run(case.x, case.bias, "f32", name), expected, bound)

    def test_computes(self):
        # As for linear layers: each activation of a patch is off by half a step of max|x| / 127 or / 16383, and 1% for
        # the rounding of everything else; bf16 rounds activations and weights to 8 bits; i8 rounds tables, to 1 / 127 of
        # their largest entry.
        for arguments in CASES:
            case = Case(*arguments)
            greatest = float(case.x.abs().max())
            reach = greatest * case.exact.abs().sum((1, 2, 3))[:, None, None]
            table = greatest * case.largest * case.terms / 254 if case.fmt[:3] in ("nf4", "fp4") else 0
            for compute, step in (("i8", 0.51 / 127), ("i16", 0.51 / 16383), ("bf16", 2.02 * 2.0**-8)):
                with self.subTest(case=arguments, compute=compute):
                    bound = step * reach + (table if compute == "i8" else 0)
                    self.assert_within(case.run(case.x, None, compute), case.expected(case.x), bound)

    def test_memory_formats(self):
        case = Case("int4:g16", (5, 16, 3, 3), (6, 7), 1, 1)
        expected = case.run(case.x, case.bias)
        self.assertTrue(expected.is_contiguous())
        last = case.run(case.x.to(memory_format=torch.channels_last), case.bias)
        self.assertTrue(last.is_contiguous(memory_format=torch.channels_last))
        self.assertTrue(torch.equal(last, expected))
        for x in (case.x.transpose(2, 3).contiguous().transpose(2, 3), torch.stack([case.x, case.x], 4)[..., 0]):
            self.assertTrue(torch.equal(case.run(x, case.bias), expected))
        self.assertTrue(torch.equal(case.run(case.x[0], case.bias), expected[0]))

    def test_types(self):
        for dtype, unit in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)):
            case = Case("int4:g16", (5, 16, 3, 3), (6, 7), 1, 1, dtype=dtype)
            y, expected = case.run(case.x, case.bias), case.expected(case.x, case.bias)
            self.assertEqual(y.dtype, dtype)
            self.assert_within(y, expected, case.bound(case.x) + unit * (expected.abs() + 2.0**-13))

    def test_empty(self):
        case = Case("int4", (5, 3, 3, 3), (6, 7))
        self.assertEqual(case.run(torch.randn(0, 3, 6, 7)).shape, (0, 5, 4, 5))


class Refusals(unittest.TestCase):
    def refused(self, parts, function):
        with self.assertRaises(RuntimeError) as caught:
            function()
        message = str(caught.exception)
        self.assertNotIn("\n", message.strip())
        for part in parts:
            self.assertIn(part, message)

    def test_shapes_and_steps(self):
        case = Case("int4:g16", (6, 16, 3, 3), (6, 6))

        def call(x=case.x, shape=case.shape, stride=1, padding=0, dilation=1, groups=1, bias=None):
            return lambda: bq.conv2d(x, *case.weight, bias, case.fmt, shape, stride, padding, dilation, groups)

        self.refused(["expected 'x' [B, 16, H, W] or [16, H, W]", "[2, 15, 6, 6]"], call(torch.randn(2, 15, 6, 6)))
        self.refused(["expected 'x'", "[16, 6]"], call(torch.randn(16, 6)))
        self.refused(["reaches over 7 of axis 0", "has 6"], call(dilation=3))
        self.refused(["'stride' is [0, 0]", "at least 1"], call(stride=0))
        self.refused(["'padding' is [-1, -1]", "at least 0"], call(padding=-1))
        self.refused(["'groups' is 4: use a divisor of the 6 outputs"], call(groups=4))
        self.refused(["expected 'codes' [N, 64]", "got [6, 72]"], call(shape=[6, 16, 4, 2]))
        self.refused(["'codes' [6, 72] do not fit 'weight_shape' [5, 16, 3, 3]"], call(shape=[5, 16, 3, 3]))
        self.refused(["expected 'weight_shape' [O, I / groups, kh, kw], got [6, 144]"], call(shape=[6, 144]))
        self.refused(["expected 'bias' of floating point [6], got Float [5]"], call(bias=torch.randn(5)))
        self.refused(["'x' is Double"], call(case.x.double()))

    def test_kinds_of_packed_weights(self):
        case = Case("int4:g16", (6, 16, 3, 3), (6, 6))
        self.refused(["'x' [2, 144] does not fit the weight [6, 16, 3, 3]"],
                     lambda: case.packed().linear(torch.randn(2, 144)))
        matrix = torch.classes.bq.PackedWeight(*case.weight, case.fmt, [6, 144])
        self.refused(["the weight [6, 144] is a linear layer's"], lambda: bq.conv2d_packed(case.x, matrix, None))

    def test_gradients_of_other_tensors(self):
        case = Case("uint4:g16", (6, 16, 3, 3), (6, 6))
        scales = case.weight[1].clone().requires_grad_()
        self.refused(["'scales' requires a gradient", "x and bias"],
                     lambda: bq.conv2d(case.x, case.weight[0], scales, case.weight[2], None, case.fmt, case.shape))
        self.refused(["expected 'gradient'", "got [2, 6, 3, 4]"],
                     lambda: bq.conv2d_input_gradient(torch.randn(2, 6, 3, 4), *case.weight, case.fmt, case.shape,
                                                      [2, 16, 6, 6]))


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
