# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of bq::linear and bq::linear_packed against autograd through the dequantized weight."""

import unittest

import torch

from bqtest import ACTIVATIONS, FORMATS, quantized

bq = torch.ops.bq


def packed(weight, fmt, shape):
    return torch.classes.bq.PackedWeight(*weight, fmt, shape)


class Gradients(unittest.TestCase):
    n, k = 9, 24

    def compare(self, function, exact, activation, x, bias, offset=0.0):
        """`offset`: of a format with zero points, above what those add to any weight; it is taken off in a sum apart."""
        y = function(x, bias)
        upstream = torch.randn(y.shape)
        y.backward(upstream)
        x2, bias2 = x.detach().double().requires_grad_(), bias.detach().double().requires_grad_()
        ACTIVATIONS[activation](torch.nn.functional.linear(x2, exact, bias2)).backward(upstream.double())
        # Twice a sum in f32 (the one before the activation, and the one over N or over rows): each is off by at most
        # (terms + 5) u times the sum of magnitudes, and activations have slopes up to 1.13 that change by at most 1.6
        # for a change of 1 in their input.
        unit = 2.0**-24
        before = (self.k + 5) * unit * (x2.abs().detach() @ exact.abs().T + bias2.abs().detach())
        change = upstream.double().abs() * (1.6 * before + 1.13 * 16 * unit)
        magnitude = 1.13 * upstream.double().abs()
        bound_x = change @ exact.abs() + (self.n + 8) * unit * (magnitude @ (exact.abs() + 2 * offset))
        rows = x2[..., 0].numel()
        bound_bias = (change + (rows + 5) * unit * magnitude).flatten(0, -2).sum(0)
        self.assertTrue(bool(((x.grad.double() - x2.grad).abs() <= bound_x).all()))
        self.assertTrue(bool(((bias.grad.double() - bias2.grad).abs() <= bound_bias).all()))

    @staticmethod
    def offset(fmt, weight):
        return 2 ** int(fmt[4]) * float(weight[1].max()) if weight[2].numel() else 0.0

    def inputs(self):
        return torch.randn(2, 3, self.k, requires_grad=True), torch.randn(self.n, requires_grad=True)

    def test_linear(self):
        for fmt in FORMATS:
            weight, exact = quantized(self.n, self.k, fmt)
            for activation in ACTIVATIONS:
                with self.subTest(fmt=fmt, activation=activation):
                    self.compare(lambda x, bias: bq.linear(x, *weight, bias, fmt, "f32", activation), exact, activation,
                                 *self.inputs(), self.offset(fmt, weight))

    def test_linear_packed(self):
        weight, exact = quantized(self.n, self.k, "uint4:g16")
        for activation in ACTIVATIONS:
            with self.subTest(activation=activation):
                whole = packed(weight, "uint4:g16", [self.n, self.k])
                offset = self.offset("uint4:g16", weight)
                self.compare(lambda x, bias: bq.linear_packed(x, whole, bias, "f32", activation), exact, activation,
                             *self.inputs(), offset)
                self.compare(lambda x, bias: whole.linear(x, bias, "f32", activation), exact, activation, *self.inputs(),
                             offset)

    def test_group_index(self):
        fmt = "uint4:g8"
        (codes, scales, zeros), _ = quantized(self.n, self.k, fmt)
        index = torch.arange(self.k, dtype=torch.int32).remainder(3)
        unit = bq.dequantize(codes, torch.ones(self.n, 1), torch.zeros(self.n, 1, dtype=torch.uint8), "uint4",
                             [self.n, self.k]).double()
        exact = (unit - zeros.double()[:, index.long()]) * scales.double()[:, index.long()]
        self.compare(lambda x, bias: bq.linear(x, codes, scales, zeros, bias, fmt, "f32", "silu", index), exact, "silu",
                     *self.inputs(), self.offset(fmt, (codes, scales, zeros)))

    def test_random_shapes(self):
        generator = torch.Generator().manual_seed(3)

        def draw(*choices):
            return choices[int(torch.randint(len(choices), (), generator=generator))]

        for _ in range(60):
            fmt = draw(*FORMATS, "int2:g8", "uint3", "int6:g20", "uint8:g32")
            n, k, rows = draw(1, 3, 16, 37, 130), draw(1, 8, 20, 33, 64, 100), draw(1, 2, 9, 70)
            compute = draw("f32", "bf16", "i16", "i8")
            with self.subTest(fmt=fmt, n=n, k=k, rows=rows, compute=compute):
                weight, exact = quantized(n, k, fmt)
                gradient = torch.randn(rows, n)
                actual = bq.linear_input_gradient(gradient, *weight, fmt, k, compute)
                expected = gradient.double() @ exact
                # Of each sum of N products of weights with their scales; in fixed point each dy * scale is off by 2^-15
                # of the greatest of its row, in bf16 it and the code's value by 2^-9. i8 sums in i16.
                largest = 2 * exact.abs().max() + 2 * self.offset(fmt, weight)
                step = {"f32": 0, "bf16": 2.02 * 2.0**-9}.get(compute, 2.0**-15)
                bound = gradient.double().abs().amax(1, keepdim=True) * n * largest * (step + (n + 8) * 2.0**-24)
                self.assertTrue(bool(((actual.double() - expected).abs() <= bound).all()))
                self.assertTrue(torch.equal(actual, bq.linear_input_gradient(gradient, *weight, fmt, k, compute)))

    def test_the_transposed_form_is_made_once_and_follows_changes(self):
        weight, _ = quantized(self.n, self.k, "uint4:g16")
        whole = packed(weight, "uint4:g16", [self.n, self.k])
        x = torch.randn(5, self.k, requires_grad=True)
        with torch.no_grad():
            whole.linear(x)
        sizes = [whole.resident_bytes()]
        for function in (whole.linear, lambda x: bq.linear(x, *weight, None, "uint4:g16")):
            (first,) = torch.autograd.grad(function(x).sum(), x)
            sizes.append(whole.resident_bytes())
            (second,) = torch.autograd.grad(function(x).sum(), x)
            self.assertTrue(torch.equal(first, second))
            weight[1].mul_(2)
            (third,) = torch.autograd.grad(function(x).sum(), x)
            torch.testing.assert_close(third, 2 * first, rtol=2.0**-20, atol=1e-5)
        self.assertLess(sizes[0], sizes[1])
        self.assertEqual(whole.resident_bytes(), sizes[1])

    def test_gradcheck_of_second_order(self):
        weight, exact = quantized(self.n, self.k, "int8")
        x, bias = self.inputs()
        y = bq.linear(x, *weight, bias, "int8", "f32", "gelu")
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        x2 = x.detach().double().requires_grad_()
        y2 = torch.nn.functional.gelu(torch.nn.functional.linear(x2, exact, bias.detach().double()))
        (first2,) = torch.autograd.grad(y2.square().sum(), x2, create_graph=True)
        (second2,) = torch.autograd.grad(first2.sum(), x2)
        # Four sums in a row, each right to 2^-24 times its terms, on values whose sums of magnitudes are below 100.
        torch.testing.assert_close(second.double(), second2, rtol=1e-4, atol=4 * 29 * 2.0**-24 * 100)

    def test_only_what_is_asked(self):
        weight, _ = quantized(self.n, self.k, "int4:g16")
        x, bias = self.inputs()
        bq.linear(x, *weight, bias.detach(), "int4:g16").sum().backward()
        self.assertIsNotNone(x.grad)
        bq.linear(x.detach(), *weight, bias, "int4:g16").sum().backward()
        torch.testing.assert_close(bias.grad, torch.full((self.n,), 6.0))
        with torch.no_grad():
            self.assertFalse(bq.linear(x, *weight, None, "int4:g16").requires_grad)

    def test_types(self):
        for dtype in (torch.float16, torch.bfloat16):
            weight, exact = quantized(self.n, self.k, "int4:g16", dtype=dtype)
            x = torch.randn(4, self.k, dtype=dtype, requires_grad=True)
            bias = torch.randn(self.n, requires_grad=True)
            bq.linear(x, *weight, bias, "int4:g16").sum().backward()
            self.assertEqual((x.grad.dtype, bias.grad.dtype), (dtype, torch.float32))
            # The weight is rounded to the type, then N of them are summed.
            unit = torch.finfo(dtype).eps
            bound = (self.n + 2) * unit * exact.abs().sum(0)
            self.assertTrue(bool(((x.grad.double() - exact.sum(0)).abs() <= bound).all()))

    def test_operators_without_a_gradient_say_so(self):
        codes, scales, zeros = bq.quantize(torch.randn(4, 8, requires_grad=True), "int4")
        with self.assertRaisesRegex(RuntimeError, "derivative for bq::quantize is not implemented"):
            scales.sum().backward()
        scales = scales.detach().requires_grad_()
        with self.assertRaisesRegex(RuntimeError, "derivative for bq::dequantize is not implemented"):
            bq.dequantize(codes, scales, None, "int4", [4, 8]).sum().backward()

    def refused(self, name, what, function):
        with self.assertRaises(RuntimeError) as caught:
            function()
        message = str(caught.exception)
        self.assertNotIn("\n", message.strip())
        for part in (f"'{name}' {what}", "x and bias"):
            self.assertIn(part, message)

    def test_tensors_that_get_no_gradient_are_refused(self):
        weight, _ = quantized(self.n, self.k, "uint4:g16")
        for position, name in ((1, "scales"), (2, "zeros")):
            tensors = list(weight)
            tensors[position] = tensors[position].clone().float().requires_grad_()
            calls = [lambda: bq.linear(torch.randn(2, self.k), *tensors, None, "uint4:g16"),
                     lambda: packed(tensors, "uint4:g16", [self.n, self.k]).linear(torch.randn(2, self.k))]
            for call in calls:
                self.refused(name, "requires a gradient", call)
                with torch.no_grad():
                    self.assertFalse(call().requires_grad)

    def test_forward_mode_is_refused(self):
        weight, _ = quantized(self.n, self.k, "uint4:g16")
        whole = packed(weight, "uint4:g16", [self.n, self.k])
        x, bias = torch.randn(2, self.k), torch.randn(self.n)

        def function(x, bias, scales):
            return bq.linear(x, weight[0], scales, weight[2], bias, "uint4:g16")

        given = (x, bias, weight[1])
        for position, name in enumerate(("x", "bias", "scales")):
            with torch.autograd.forward_ad.dual_level():
                duals = list(given)
                duals[position] = torch.autograd.forward_ad.make_dual(given[position], torch.ones_like(given[position]))
                self.refused(name, "has a forward gradient", lambda: function(*duals))
                if name != "scales":
                    self.refused(name, "has a forward gradient", lambda: bq.linear_packed(duals[0], whole, duals[1]))
        self.refused("x", "has a forward gradient",
                     lambda: torch.func.jvp(lambda x: function(x, bias, weight[1]), (x,), (torch.ones_like(x),)))

    def test_a_packed_weight_changed_before_backward_is_noticed(self):
        for change in (lambda whole: whole.codes().bitwise_not_(), lambda whole: whole.scales().mul_(2),
                       lambda whole: whole.zeros().add_(1)):
            weight, _ = quantized(self.n, self.k, "uint4:g16")
            whole = packed(weight, "uint4:g16", [self.n, self.k])
            y = whole.linear(torch.randn(2, self.k, requires_grad=True))
            change(whole)
            with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
                y.sum().backward()

    def test_compiled(self):
        weight, _ = quantized(self.n, self.k, "int4:g16")

        def function(x, bias):
            return bq.linear(x, *weight, bias, "int4:g16", "f32", "gelu").sum()

        x, bias = self.inputs()
        function(x, bias).backward()
        expected, x.grad = x.grad, None
        torch.compile(function, backend="aot_eager", fullgraph=True)(x, bias).backward()
        torch.testing.assert_close(x.grad, expected, rtol=0, atol=0)


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
