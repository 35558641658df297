# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""bq::fake_quantize and its gradient, against autograd on a composition in double precision."""

import math
import unittest

import torch
from torch.library import opcheck

import bqtest  # noqa: F401 (loads the operators)

bq = torch.ops.bq

# (bits, is_signed, whether zero points are given)
KINDS = [(bits, signed, zero) for bits in range(1, 9) for signed in (True, False) for zero in (False, True)
         if not (bits == 1 and signed and zero)]


def limits(bits, signed):
    if not signed:
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def composition(x, scale, zero, bits, signed):
    """The same function of tensors of any precision, with the gradients that it is to have.

    Rounding is the identity on the way back, and torch.clamp passes a gradient on inside its limits and at them.
    """
    low, high = limits(bits, signed)
    per_row = scale.reshape([-1] + [1] * (x.dim() - 1)) if scale.numel() > 1 else scale.reshape([])
    offset = 0 if zero is None else zero.reshape(per_row.shape).to(x.dtype)
    clamped = torch.clamp(x / per_row + offset, low, high)
    rounded = torch.where(x >= 0, 1.0, -1.0).to(x.dtype) if bits == 1 and signed else clamped.round()
    return per_row * (clamped + (rounded - clamped).detach() - offset)


def case(bits, signed, has_zero, rows, columns, per_row, seed=0):
    """x in which a tenth is clipped, scale and zero."""
    generator = torch.Generator().manual_seed(seed)
    low, high = limits(bits, signed)
    count = rows if per_row else 1
    scale = torch.rand(count, generator=generator) + 0.5
    zero = torch.randint(low, high + 1, (count,), generator=generator, dtype=torch.int32) if has_zero else None
    x = torch.rand(rows, columns, generator=generator) * (high - low) * 1.1 + low * 1.05
    return (x - (0 if zero is None else zero[:, None])) * scale[:, None], scale, zero


class FakeQuantize(unittest.TestCase):
    def test_opcheck(self):
        for bits, signed, has_zero in [(4, True, False), (1, True, False), (8, False, True)]:
            for per_row in (False, True):
                x, scale, zero = case(bits, signed, has_zero, 3, 20, per_row)
                arguments = (x.requires_grad_(), scale.requires_grad_(), zero, bits, signed)
                opcheck(bq.fake_quantize.default, arguments)
                x, scale = x.detach(), scale.detach()
                opcheck(bq.fake_quantize_backward.default, (torch.randn(3, 20), x, scale, zero, bits, signed))
        x = torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last)
        opcheck(bq.fake_quantize.default, (x, torch.tensor(0.1), None, 4))
        opcheck(bq.fake_quantize.default, (torch.randn(20, 3).T, torch.rand(3), None, 4))

    def test_values(self):
        # Every step is one operation in f32, and here too.
        for bits, signed, has_zero in KINDS:
            for per_row in (False, True):
                with self.subTest(bits=bits, signed=signed, zero=has_zero, per_row=per_row):
                    x, scale, zero = case(bits, signed, has_zero, 3, 100, per_row, bits)
                    low, high = limits(bits, signed)
                    expected = composition(x, scale, zero, bits, signed)
                    rows, offset = scale[:, None], 0 if zero is None else zero[:, None].float()
                    codes = torch.clamp((x / rows + offset).round(), low, high)
                    if bits == 1 and signed:
                        codes = torch.where(x >= 0, 1.0, -1.0)
                    self.assertTrue(torch.equal(bq.fake_quantize(x, scale, zero, bits, signed), rows * (codes - offset)))
                    torch.testing.assert_close(rows * (codes - offset), expected, rtol=0, atol=1e-4)

    def test_gradients(self):
        for bits, signed, has_zero in KINDS:
            for columns in (1, 37, 5000):
                for per_row in (False, True):
                    with self.subTest(bits=bits, signed=signed, zero=has_zero, columns=columns, per_row=per_row):
                        self.compare(*case(bits, signed, has_zero, 3, columns, per_row, bits), bits, signed)

    def compare(self, x, scale, zero, bits, signed):
        x.requires_grad_(), scale.requires_grad_()
        upstream = torch.randn(x.shape)
        bq.fake_quantize(x, scale, zero, bits, signed).backward(upstream)
        x2, scale2 = x.detach().double().requires_grad_(), scale.detach().double().requires_grad_()
        composition(x2, scale2, zero, bits, signed).backward(upstream.double())
        self.assertTrue(torch.equal(x.grad.double(), x2.grad))
        # A chunk of 4096 is summed in f32 by lanes of 16, and its end one by one: at most 4096 / 16 + 32 roundings. The
        # slope, at most the range or 2, is off by that of x / scale + zero: 3 roundings of at most the range and zero.
        count = x.numel() // scale.numel()
        low, high = limits(bits, signed)
        reach = high - low + 2 + (0 if zero is None else int(zero.abs().max()))
        terms = upstream.double().abs().reshape(scale.numel(), -1).sum(1)
        factor = 1 / math.sqrt(count * high)
        bound = (4096 / 16 + 32 + 4) * 2.0**-24 * reach * terms * factor
        error = (scale.grad.double() - scale2.grad * factor).abs()
        self.assertTrue(bool((error <= bound).all()), f"error {error.max()} over {bound}")

    def test_clipped_elements_count_in_the_gradient_of_the_scale(self):
        x, scale = torch.full((64,), 100.0), torch.tensor(1.0, requires_grad=True)
        bq.fake_quantize(x, scale, None, 4).sum().backward()
        self.assertAlmostEqual(float(scale.grad), 64 * 7 / math.sqrt(64 * 7), places=4)
        # There the function is linear in the scale, so that a difference is the gradient.
        up, down = (bq.fake_quantize(x, torch.tensor(1 + d), None, 4).double().sum() for d in (0.125, -0.125))
        self.assertAlmostEqual(float((up - down) / 0.25), 64 * 7, places=3)

    def test_ends_of_the_range_are_inside(self):
        x = torch.tensor([-8.0, 7.0, -8.25, 7.25], requires_grad=True)
        bq.fake_quantize(x, torch.tensor(1.0), None, 4).sum().backward()
        self.assertEqual(x.grad.tolist(), [1, 1, 0, 0])

    def test_sign_of_zero_is_plus(self):
        x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 3.0], requires_grad=True)
        y = bq.fake_quantize(x, torch.tensor(0.5), None, 1)
        self.assertEqual(y.tolist(), [0.5, 0.5, 0.5, -0.5, 0.5])
        y.sum().backward()
        self.assertEqual(x.grad.tolist(), [1, 1, 1, 1, 0])

    def test_a_scale_that_is_not_positive_gives_no_nan(self):
        for value in (0.0, -1.0):
            x, scale = torch.tensor([0.0, 1.0, -2.0], requires_grad=True), torch.tensor(value, requires_grad=True)
            y = bq.fake_quantize(x, scale, None, 4)
            y.sum().backward()
            for tensor in (y, x.grad, scale.grad):
                self.assertTrue(bool(torch.isfinite(tensor).all()))
            self.assertEqual(x.grad.tolist(), [1, 0, 0])

    def test_nan_stays(self):
        x = torch.tensor([float("nan"), 1.0])
        for bits in (1, 4):
            y = bq.fake_quantize(x, torch.tensor(1.0), None, bits)
            self.assertEqual(y.isnan().tolist(), [True, False])
            self.assertTrue(bool(bq.fake_quantize(x, torch.tensor(float("nan")), None, bits).isnan().all()))

    def test_threads_do_not_change_a_bit(self):
        x, scale = torch.randn(3, 100003), torch.rand(3)
        before, results = torch.get_num_threads(), []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(bq.fake_quantize_backward(x, x, scale, None, 4))
            results[-1] += bq.fake_quantize_backward(x, x, scale[:1], None, 4)
        torch.set_num_threads(before)
        for result in results[1:]:
            for left, right in zip(results[0], result):
                self.assertTrue(torch.equal(left, right))

    def test_memory_formats(self):
        for x, scale in ((torch.randn(2, 4, 3, 5).to(memory_format=torch.channels_last), torch.rand(1)),
                         (torch.randn(4, 2, 3, 5).to(memory_format=torch.channels_last), torch.rand(4)),
                         (torch.randn(5, 3).T, torch.rand(3)), (torch.randn(3, 10)[:, ::2], torch.rand(1)),
                         (torch.randn(3, 1).expand(3, 5), torch.rand(3)), (torch.tensor(2.0), torch.tensor(0.3)),
                         (torch.randn(0, 4), torch.rand(1)), (torch.randn(3, 0), torch.rand(3))):
            with self.subTest(shape=x.shape, strides=x.stride()):
                upstream = torch.randn(x.shape)
                y, same = bq.fake_quantize(x, scale, None, 4), bq.fake_quantize(x.contiguous(), scale, None, 4)
                self.assertTrue(torch.equal(y, same))
                self.assertEqual(y.stride(), torch.empty_like(x).stride())
                got, expected = (bq.fake_quantize_backward(upstream, z, scale, None, 4) for z in (x, x.contiguous()))
                self.assertTrue(torch.equal(got[0], expected[0]))
                # Another order of at most 120 terms that are at most 8 times 5.
                torch.testing.assert_close(got[1], expected[1], rtol=0, atol=120 * 120 * 40 * 2.0**-24)

    def test_types(self):
        for dtype in (torch.float16, torch.bfloat16):
            x = torch.randn(4, 33).to(dtype).requires_grad_()
            scale = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
            y = bq.fake_quantize(x, scale, torch.tensor([1], dtype=torch.int8), 4)
            self.assertEqual(y.dtype, dtype)
            wide = bq.fake_quantize(x.detach().float(), scale.detach(), torch.tensor([1]), 4)
            self.assertTrue(torch.equal(y.float(), wide.to(dtype).float()))
            y.sum().backward()
            self.assertEqual((x.grad.dtype, scale.grad.dtype, scale.grad.shape), (dtype, torch.float64, ()))

    def refused(self, parts, *arguments):
        with self.assertRaises(RuntimeError) as caught:
            bq.fake_quantize(*arguments)
        message = str(caught.exception)
        self.assertNotIn("\n", message.strip())
        for part in parts:
            self.assertIn(part, message)

    def test_refusals(self):
        x, scale = torch.randn(3, 4), torch.rand(1)
        self.refused(["'bits' is 9: use 1 to 8"], x, scale, None, 9)
        self.refused(["'bits' is 0"], x, scale, None, 0)
        self.refused(["expected 'scale' of one element, or [3]", "got [4]"], x, torch.rand(4), None, 4)
        self.refused(["'scale' is Int"], x, torch.tensor([1], dtype=torch.int32), None, 4)
        self.refused(["'x' is Double: use Float, Half or BFloat16"], x.double(), scale, None, 4)
        self.refused(["as many real numbers as 'scale' [1]", "[3]"], x, scale, torch.zeros(3), 4)
        self.refused(["one signed bit has no zero point"], x, scale, torch.zeros(1), 1)
        self.refused(["'zero' requires a gradient"], x, scale, torch.zeros(1, requires_grad=True), 4)
        y = bq.fake_quantize(x.requires_grad_(), scale, None, 4)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "derivative for bq::fake_quantize_backward is not implemented"):
            first.sum().backward()

    def test_compiled(self):
        def function(x, scale):
            return bq.fake_quantize(x, scale, None, 4).square().sum()

        x, scale = torch.randn(3, 20, requires_grad=True), torch.tensor(0.3, requires_grad=True)
        function(x, scale).backward()
        expected, x.grad, scale.grad = (x.grad, scale.grad), None, None
        torch.compile(function, backend="aot_eager", fullgraph=True)(x, scale).backward()
        torch.testing.assert_close((x.grad, scale.grad), expected, rtol=0, atol=0)


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
