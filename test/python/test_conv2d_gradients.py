# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of bq::conv2d and bq::conv2d_packed, against autograd through the dequantized weight in double precision."""

import io
import unittest

import torch
from torch.nn.functional import conv2d

from bqtest import ACTIVATIONS, FORMATS
from conv2d_cases import CASES, UNIT, Case, WithinBounds

bq = torch.ops.bq


class Gradients(WithinBounds):
    def compare(self, case, function, activation="none", unit=UNIT):
        x, bias = case.x.clone().requires_grad_(), case.bias.clone().requires_grad_()
        y = function(x, bias)
        upstream = torch.randn(y.shape).to(y.dtype)
        y.backward(upstream)
        x2, bias2 = x.detach().double().requires_grad_(), bias.detach().double().requires_grad_()
        sums = conv2d(x2, case.exact, bias2, *case.steps)
        ACTIVATIONS[activation](sums).backward(upstream.double())
        # Of each sum of outputs x taps products, and what is taken off for zero points, whose magnitudes are below
        # |dy| * largest; slopes are up to 1.13 and change by at most 1.6 for a change of 1 in the sum.
        change = upstream.double().abs() * (1.6 * case.bound(case.x) + 1.13)
        probe = torch.zeros_like(x2).requires_grad_()
        conv2d(probe, torch.full_like(case.exact, case.largest), None, *case.steps).backward(change)
        count = case.shape[0] // case.steps[3] * case.shape[2] * case.shape[3]
        slopes = upstream.double().abs() * 1.6 * case.bound(case.x) if activation != "none" else 0 * change
        moved = torch.zeros_like(x2).requires_grad_()
        conv2d(moved, case.exact.abs(), None, *case.steps).backward(slopes)
        self.assert_within(x.grad, x2.grad, (count + 10) * unit * probe.grad + moved.grad + 1e-30)
        pixels = upstream[0, 0].numel() * upstream.shape[0]
        self.assert_within(bias.grad, bias2.grad, (change * (pixels + 5) * UNIT + slopes).sum((0, 2, 3)))

    def test_plain(self):
        for arguments in CASES:
            for activation in ("none", "gelu"):
                with self.subTest(case=arguments, activation=activation):
                    case = Case(*arguments)
                    self.compare(case, lambda x, bias: case.run(x, bias, "f32", activation), activation)

    def test_packed(self):
        for arguments in CASES[1:4]:
            case = Case(*arguments)
            packed = case.packed()
            self.compare(case, lambda x, bias: bq.conv2d_packed(x, packed, bias, *case.steps))
            pairs = [[s, s] if isinstance(s, int) else list(s) for s in case.steps[:3]]
            self.compare(case, lambda x, bias: packed.conv2d(x, bias, *pairs, case.steps[3]))

    def test_random_shapes(self):
        generator = torch.Generator().manual_seed(7)

        def draw(*choices):
            return choices[int(torch.randint(len(choices), (), generator=generator))]

        for _ in range(40):
            groups, channels = draw(1, 1, 2, 3), draw(1, 2, 8, 12, 16)
            kernel = (draw(1, 2, 3), draw(1, 2, 3))
            arguments = (draw(*FORMATS, "int4:g8", "uint2:g4"), (groups * draw(1, 3, 8), channels, *kernel),
                         (draw(5, 6, 9), draw(5, 7, 8)), (draw(1, 2, 3), draw(1, 2)), (draw(0, 1, 2), draw(0, 1)),
                         (draw(1, 2), draw(1, 2)), groups, draw(1, 2))
            with self.subTest(case=arguments):
                case = Case(*arguments)
                self.assert_within(case.run(case.x, case.bias), case.expected(case.x, case.bias), case.bound(case.x))
                self.compare(case, case.run)

    def test_computes(self):
        # i8 takes its gradients in i16: of the greatest |dy * scale| of a patch, 2^-15 of each product's weight; bf16
        # rounds dy and the codes' values to 8 bits.
        for arguments in CASES[:6]:
            for compute, unit in (("i8", 2.0**-15), ("i16", 2.0**-15), ("bf16", 2.02 * 2.0**-8)):
                with self.subTest(case=arguments, compute=compute):
                    case = Case(*arguments)
                    x = case.x.clone().requires_grad_()
                    y = case.run(x, None, compute)
                    upstream = torch.randn(y.shape)
                    y.backward(upstream)
                    x2 = case.x.double().requires_grad_()
                    conv2d(x2, case.exact, None, *case.steps).backward(upstream.double())
                    count = case.shape[0] // case.steps[3] * case.shape[2] * case.shape[3]
                    reach = float(upstream.abs().max()) * case.largest * count
                    self.assert_within(x.grad, x2.grad, 2 * unit * reach + (count + 10) * UNIT * reach)

    def test_second_order(self):
        case = Case("uint4:g16", (5, 32, 3, 1), (9, 7), 2, (1, 0))
        x = case.x.clone().requires_grad_()
        (first,) = torch.autograd.grad(case.run(x, case.bias, "f32", "gelu").square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        x2 = case.x.double().requires_grad_()
        y2 = torch.nn.functional.gelu(conv2d(x2, case.exact, case.bias.double(), *case.steps))
        (first2,) = torch.autograd.grad(y2.square().sum(), x2, create_graph=True)
        (second2,) = torch.autograd.grad(first2.sum(), x2)
        # Four sums in a row, each right to 2^-24 times its terms.
        scale = float(second2.abs().max())
        torch.testing.assert_close(second.double(), second2, rtol=0, atol=4 * 110 * 8 * UNIT * scale)

    def test_memory_format_follows_the_input(self):
        case = Case("int4:g16", (5, 16, 3, 3), (6, 6), 1, 1)
        for memory in (torch.contiguous_format, torch.channels_last):
            x = case.x.detach().to(memory_format=memory).requires_grad_()
            case.run(x).square().sum().backward()
            self.assertTrue(x.grad.is_contiguous(memory_format=memory))

    def test_the_same_twice_and_by_any_number_of_threads(self):
        case = Case("uint4:g16", (16, 32, 3, 3), (14, 15), 1, 1)
        upstream, before, results = torch.randn_like(case.run(case.x)), torch.get_num_threads(), []
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            results.append(bq.conv2d_input_gradient(upstream, *case.weight, case.fmt, case.shape, case.x.shape, *case.steps))
        torch.set_num_threads(before)
        for result in results[1:]:
            self.assertTrue(torch.equal(results[0], result))


class Packed(unittest.TestCase):
    def test_the_transposed_form_is_made_once_and_follows_changes(self):
        case = Case("uint4:g16", (5, 32, 3, 3), (6, 7), 1, 1)
        packed = case.packed()
        x = case.x.clone().requires_grad_()

        def gradient():
            (result,) = torch.autograd.grad(bq.conv2d_packed(x, packed, None, *case.steps).sum(), x)
            return result

        sizes = [packed.resident_bytes()]
        with torch.no_grad():
            bq.conv2d_packed(x, packed, None, *case.steps)
        sizes.append(packed.resident_bytes())
        first = gradient()
        sizes.append(packed.resident_bytes())
        self.assertLess(sizes[0], sizes[1])
        self.assertLess(sizes[1], sizes[2])
        self.assertTrue(torch.equal(gradient(), first))
        self.assertEqual(packed.resident_bytes(), sizes[2])
        packed.scales().mul_(2)
        torch.testing.assert_close(gradient(), 2 * first, rtol=2.0**-20, atol=1e-6)

    def test_operators_notice_a_changed_weight(self):
        case = Case("int4:g16", (5, 16, 3, 3), (6, 6), 1, 1)
        x = case.x.clone().requires_grad_()

        def both():
            y = case.run(x)
            return y.detach(), torch.autograd.grad(y.sum(), x)[0]

        before = both()
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(before, both())))
        case.weight[1].mul_(2)
        for old, new in zip(before, both()):
            torch.testing.assert_close(new, 2 * old, rtol=2.0**-20, atol=1e-6)

    def test_saves_and_loads(self):
        case = Case("uint4:g16", (5, 32, 3, 3), (6, 7), 1, 1)

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = case.packed()

            def forward(self, x: torch.Tensor):
                return torch.ops.bq.conv2d_packed(x, self.weight, None, [1, 1], [1, 1], [1, 1], 1, "i16", "relu")

        model = torch.jit.script(Model())
        file = io.BytesIO()
        torch.jit.save(model, file)
        file.seek(0)
        self.assertTrue(torch.equal(torch.jit.load(file)(case.x), case.run(case.x, None, "i16", "relu")))
        self.assertEqual(case.packed().shape(), case.shape)


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
