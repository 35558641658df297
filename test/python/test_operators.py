# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""bq's operators from Python: what PyTorch demands of an operator, inputs of every kind, and what is refused."""

import os
import unittest

import torch
from torch.library import opcheck

from bqtest import ACTIVATIONS, FORMATS, quantized, sum_bound

bq = torch.ops.bq


class OpCheck(unittest.TestCase):
    """Schema, autograd registration, fake tensors, and ahead-of-time tracing with dynamic shapes."""

    def test_quantize(self):
        for fmt in FORMATS:
            opcheck(bq.quantize.default, (torch.randn(8, 24), fmt))
        opcheck(bq.quantize.default, (torch.randn(4, 3, 2, 5).bfloat16(), "int4:g4", torch.float32))

    def test_dequantize(self):
        for fmt in FORMATS:
            (codes, scales, zeros), _ = quantized(8, 24, fmt)
            opcheck(bq.dequantize.default, (codes, scales, zeros, fmt, [8, 24]))

    def test_linear(self):
        for fmt in FORMATS:
            weight, _ = quantized(8, 24, fmt)
            bias = torch.randn(8, requires_grad=True)
            x = torch.randn(2, 3, 24, requires_grad=True)
            opcheck(bq.linear.default, (x, *weight, bias, fmt))
            opcheck(bq.linear.default, (torch.randn(5, 24), *weight, None, fmt, "f32", "gelu"))

    def test_linear_with_group_index(self):
        weight, _ = quantized(8, 24, "uint4:g8")
        index = torch.arange(24, dtype=torch.int32).remainder(3)
        x = torch.randn(3, 24, requires_grad=True)
        opcheck(bq.linear.default, (x, *weight, None, "uint4:g8", "f32", "relu", index))

    def test_embedding(self):
        for fmt in FORMATS:
            weight, _ = quantized(8, 24, fmt)
            opcheck(bq.embedding.default, (torch.randint(8, (2, 3)), *weight, fmt, 24))


class Values(unittest.TestCase):
    def assert_within(self, actual, expected, bound):
        error = (actual.double() - expected).abs()
        self.assertTrue(bool((error <= bound).all()), f"error {error.max()} over bound")

    def test_linear_is_x_times_the_dequantized_weight(self):
        for fmt in FORMATS:
            weight, exact = quantized(9, 24, fmt)
            x, bias = torch.randn(5, 24), torch.randn(9)
            for name, activation in ACTIVATIONS.items():
                with self.subTest(fmt=fmt, activation=name):
                    y = bq.linear(x, *weight, bias, fmt, "f32", name)
                    expected = activation(x.double() @ exact.T + bias.double())
                    # No activation is steeper than 1.13, and its own rounding is a few units in f32.
                    bound = 1.13 * sum_bound(x, exact, bias) + 8 * 2.0**-24 * (expected.abs() + 1)
                    self.assert_within(y, expected, bound)

    def test_group_index_says_which_scale_a_column_has(self):
        for fmt in ("int4:g8", "uint4:g8", "nf4:g8"):
            (codes, scales, zeros), _ = quantized(6, 24, fmt)
            index = torch.arange(24, dtype=torch.int32).remainder(3)
            whole = fmt.split(":")[0]
            unit_zeros = torch.zeros(6, 1, dtype=torch.uint8) if zeros.numel() else None
            values = bq.dequantize(codes, torch.ones(6, 1), unit_zeros, whole, [6, 24]).double()
            if zeros.numel():
                values = values - zeros.double()[:, index.long()]
            exact = values * scales.double()[:, index.long()]
            x = torch.randn(4, 24)
            y = bq.linear(x, codes, scales, zeros, None, fmt, "f32", "none", index)
            self.assert_within(y, x.double() @ exact.T, sum_bound(x, exact))

    def test_half_types_are_rounded_once(self):
        for dtype, unit in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)):
            weight, exact = quantized(9, 24, "int4:g16", dtype=dtype)
            x, bias = torch.randn(5, 24).to(dtype), torch.randn(9).to(dtype)
            y = bq.linear(x, *weight, bias, "int4:g16")
            self.assertEqual(y.dtype, dtype)
            self.assertEqual(weight[1].dtype, dtype)
            expected = x.double() @ exact.T + bias.double()
            self.assert_within(y, expected, sum_bound(x, exact, bias) + unit * (expected.abs() + 2.0**-13))

    def test_fixed_point_computes(self):
        # Each activation is off by at most half a step, and steps are max|x| / 127 or max|x| / 16383; 1% for the rounding
        # of everything else. bf16 rounds activations and weights to 8 bits.
        weight, exact = quantized(16, 64, "int4:g16")
        x = torch.randn(5, 64)
        row = x.double().abs().amax(1, keepdim=True) * exact.abs().sum(1)
        for compute, step in (("i8", 0.505 / 127), ("i16", 0.505 / 16383), ("bf16", 2.02 * 2.0**-8)):
            with self.subTest(compute=compute):
                self.assert_within(bq.linear(x, *weight, None, "int4:g16", compute), x.double() @ exact.T, step * row)

    def test_table_of_the_caller(self):
        codes = torch.randint(0, 256, (5, 6), dtype=torch.uint8)
        table, scales = torch.tensor([-3.0, -0.5, 0.25, 7.0]), torch.rand(5, 3)
        weight = bq.dequantize(codes, scales, table, "lut2:g8", [5, 24])
        index = torch.stack([codes >> shift & 3 for shift in (0, 2, 4, 6)], 2).reshape(5, 24)
        expected = table[index.long()] * scales.repeat_interleave(8, 1)
        self.assertTrue(torch.equal(weight, expected))
        x = torch.randn(2, 24)
        self.assert_within(
            bq.linear(x, codes, scales, table, None, "lut2:g8"), x.double() @ weight.double().T, sum_bound(x, weight.double())
        )

    def test_zero_points_of_other_types(self):
        (codes, scales, zeros), _ = quantized(6, 24, "uint4:g8")
        x = torch.randn(3, 24)
        expected = bq.linear(x, codes, scales, zeros, None, "uint4:g8")
        for dtype in (torch.int32, torch.float16, torch.float32):
            self.assertTrue(torch.equal(bq.linear(x, codes, scales, zeros.to(dtype), None, "uint4:g8"), expected))

    def test_embedding_rows_are_those_of_the_weight(self):
        for fmt in FORMATS:
            for dtype in (torch.float32, torch.bfloat16):
                (codes, scales, zeros), _ = quantized(9, 24, fmt, dtype=dtype)
                weight = bq.dequantize(codes, scales, zeros, fmt, [9, 24])
                indices = torch.tensor([[8, 0, 3], [3, 3, 7]])
                for integer in (torch.int64, torch.int32):
                    rows = bq.embedding(indices.to(integer), codes, scales, zeros, fmt, 24)
                    self.assertTrue(torch.equal(rows, weight[indices]), fmt)
                    self.assertEqual(rows.dtype, dtype)

    def test_sign_scales_are_the_best_rank_one_form(self):
        weight = torch.randn(12, 20)
        codes, scales, _ = bq.quantize(weight, "sign")
        left, singular, right = torch.linalg.svd(weight.double().abs())
        a, b = left[:, 0].abs() * singular[0].sqrt(), right[0].abs() * singular[0].sqrt()
        # Power iteration is done once sigma moves by less than 1e-8 of itself, so vectors are right to its root.
        torch.testing.assert_close(scales.double(), torch.cat([a, b]), rtol=0, atol=1e-3 * float(a.max()))
        sign = torch.where(weight >= 0, 1.0, -1.0)
        expected = scales[:12, None] * sign * scales[None, 12:]
        torch.testing.assert_close(bq.dequantize(codes, scales, None, "sign", [12, 20]), expected, rtol=2.0**-22, atol=0)

    def test_sign_of_zero_rows(self):
        weight = torch.randn(4, 8)
        weight[1] = 0
        codes, scales, _ = bq.quantize(weight, "sign")
        decoded = bq.dequantize(codes, scales, None, "sign", [4, 8])
        self.assertTrue(torch.isfinite(decoded).all())
        self.assertEqual(float(decoded[1].abs().max()), 0.0)
        _, scales, _ = bq.quantize(torch.zeros(4, 8), "sign")
        self.assertEqual(float(scales.abs().max()), 0.0)

    def test_convolution_weight_is_a_matrix_with_channels_inside(self):
        weight = torch.randn(4, 6, 3, 2)
        for layout in (torch.contiguous_format, torch.channels_last):
            codes, scales, zeros = bq.quantize(weight.contiguous(memory_format=layout), "int4:g6")
            matrix = bq.quantize(weight.permute(0, 2, 3, 1).reshape(4, 36), "int4:g6")
            self.assertTrue(torch.equal(codes, matrix[0]) and torch.equal(scales, matrix[1]))
            decoded = bq.dequantize(codes, scales, zeros, "int4:g6", [4, 6, 3, 2])
            flat = bq.dequantize(*matrix, "int4:g6", [4, 36])
            self.assertTrue(torch.equal(decoded, flat.reshape(4, 3, 2, 6).permute(0, 3, 1, 2)))


class Strides(unittest.TestCase):
    """The values count, not how they lie in memory."""

    def test_quantize(self):
        weight = torch.randn(12, 48)
        for view in (weight[:, ::2], weight.T, weight[::3], weight[:, 5:29], weight[0].expand(3, 48)):
            for fmt in ("uint4:g16", "sign"):
                for actual, expected in zip(bq.quantize(view, fmt), bq.quantize(view.contiguous(), fmt)):
                    self.assertTrue(torch.equal(actual, expected))

    def test_linear(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        x = torch.randn(6, 48)
        for view in (x[:, ::2], x[:, 7:31], x[::2, :24], x[0, :24].expand(5, 24), torch.randn(24, 5).T,
                     torch.randn(3, 4, 24).transpose(0, 1), torch.randn(24), torch.randn(2, 1, 2, 24)):
            y = bq.linear(view, *weight, None, "uint4:g16")
            self.assertEqual(y.shape, (*view.shape[:-1], 9))
            self.assertTrue(torch.equal(y, bq.linear(view.contiguous(), *weight, None, "uint4:g16")))

    def test_rows_of_one_column_may_overlap(self):
        column = torch.randn(1, 1).expand(5, 1)
        weight = bq.quantize(column, "int8")
        for actual, expected in zip(weight, bq.quantize(column.contiguous(), "int8")):
            self.assertTrue(torch.equal(actual, expected))
        for view in (column, column.expand(2, 5, 1)):
            y = bq.linear(view, *weight, None, "int8")
            self.assertTrue(torch.equal(y, bq.linear(view.contiguous(), *weight, None, "int8")))

    def test_weight_tensors(self):
        (codes, scales, zeros), _ = quantized(9, 24, "uint4:g16")
        spread = [torch.stack([t, t], 2)[:, :, 0] for t in (codes, scales, zeros)]
        self.assertFalse(spread[0].is_contiguous())
        x = torch.randn(3, 24)
        self.assertTrue(torch.equal(bq.linear(x, *spread, None, "uint4:g16"),
                                    bq.linear(x, codes, scales, zeros, None, "uint4:g16")))


class Empty(unittest.TestCase):
    def test_no_rows_of_x(self):
        weight, _ = quantized(9, 24, "int4:g16")
        for shape in ((0, 24), (3, 0, 24)):
            self.assertEqual(bq.linear(torch.randn(shape), *weight, None, "int4:g16").shape, (*shape[:-1], 9))

    def test_no_rows_of_the_weight(self):
        codes, scales, zeros = bq.quantize(torch.randn(0, 24), "uint4:g16")
        self.assertEqual((codes.shape, scales.shape, zeros.shape), ((0, 12), (0, 2), (0, 2)))
        self.assertEqual(bq.linear(torch.randn(3, 24), codes, scales, zeros, None, "uint4:g16").shape, (3, 0))
        self.assertEqual(bq.dequantize(codes, scales, zeros, "uint4:g16", [0, 24]).shape, (0, 24))

    def test_no_columns_sum_to_nothing(self):
        for fmt in ("int4:g16", "sign"):
            codes, scales, zeros = bq.quantize(torch.randn(5, 0), fmt)
            bias = torch.randn(5)
            y = bq.linear(torch.randn(2, 0), codes, scales, zeros, bias, fmt, "f32", "relu")
            self.assertTrue(torch.equal(y, torch.relu(bias).expand(2, 5)))

    def test_no_indices(self):
        weight, _ = quantized(9, 24, "int4:g16")
        self.assertEqual(bq.embedding(torch.zeros(2, 0, dtype=torch.long), *weight, "int4:g16", 24).shape, (2, 0, 24))


class Refusals(unittest.TestCase):
    """One line that names input, value and rule."""

    def refused(self, parts, function, *args):
        with self.assertRaises(RuntimeError) as caught:
            function(*args)
        message = str(caught.exception)
        self.assertNotIn("\n", message.strip())
        for part in parts:
            self.assertIn(part, message)

    def setUp(self):
        self.weight, _ = quantized(9, 24, "uint4:g16")

    def linear(self, x, codes=None, scales=None, zeros=None, bias=None, fmt="uint4:g16", compute="f32", activation="none",
               index=None):
        given = [given if given is not None else own for given, own in zip((codes, scales, zeros), self.weight)]
        return bq.linear(x, *given, bias, fmt, compute, activation, index)

    def test_quantize(self):
        for bad in (float("nan"), float("inf")):
            weight = torch.randn(3, 4)
            weight[1, 2] = bad
            self.refused(["'weight' [3, 4] holds NaN or infinity"], bq.quantize, weight, "int4")
        self.refused(["'weight' is Double: use Float, Half or BFloat16"], bq.quantize, torch.randn(3, 4).double(), "int4")
        self.refused(["'scale_dtype' is Double"], bq.quantize, torch.randn(3, 4), "int4", torch.float64)
        self.refused(["expected a weight [N, K] or [O, I, kh, kw], got [3]"], bq.quantize, torch.randn(3), "int4")
        self.refused(["format 'int9' has 9 bits", "use int2..int8"], bq.quantize, torch.randn(3, 4), "int9")
        self.refused(["lut4 cannot be quantized to"], bq.quantize, torch.randn(3, 4), "lut4")

    def test_linear_shapes(self):
        x = torch.randn(2, 24)
        self.refused(["'x' [2, 25] does not fit 'codes' [9, 12]", "K = 25"], self.linear, torch.randn(2, 25))
        self.refused(["expected 'scales' [9, 2] for a weight [9, 24] in uint4:g16, got [9, 3]"], self.linear, x, None,
                     torch.ones(9, 3))
        self.refused(["expected 'zeros' [9, 2]", "got [2, 9]"], self.linear, x, None, None,
                     torch.zeros(2, 9, dtype=torch.uint8))
        self.refused(["expected 'bias' of floating point [9], got Float [8]"], self.linear, x, None, None, None,
                     torch.randn(8))
        self.refused(["'x' [..., K], got a tensor without dimensions"], self.linear, torch.tensor(1.0))
        self.refused(["expected 'g_idx' [24]", "got [23]"], self.linear, x, None, None, None, None, "uint4:g16", "f32",
                     "none", torch.zeros(23, dtype=torch.int32))
        self.refused(["int4:g16 has no zero points, got 'zeros' [9, 2]"], self.linear, x, None, None, None, None,
                     "int4:g16")

    def test_linear_types(self):
        self.refused(["'x' is Double: use Float, Half or BFloat16"], self.linear, torch.randn(2, 24).double())
        x = torch.randn(2, 24)
        self.refused(["expected 'codes' of type Byte, got Int"], self.linear, x, self.weight[0].int())
        self.refused(["'scales' is Double"], self.linear, x, None, self.weight[1].double())
        self.refused(["uint4:g16 needs 'zeros'"], bq.linear, x, *self.weight[:2], None, None, "uint4:g16")

    def test_linear_choices(self):
        x = torch.randn(2, 24)
        self.refused(["compute 'i4' is not known: use one of f32, bf16, i16, i8"],
                     lambda: self.linear(x, compute="i4"))
        self.refused(["activation 'tanh' is not known", "gelu_tanh"], lambda: self.linear(x, activation="tanh"))
        self.refused(["expected 'codes' of one dimension", "mixed"], lambda: self.linear(x, fmt="mixed"))

    def test_group_index_out_of_range(self):
        index = torch.arange(24, dtype=torch.int32) // 16
        index[3] = 2
        self.refused(["2"], lambda: self.linear(torch.randn(2, 24), index=index))

    def test_devices(self):
        meta = torch.randn(2, 24, device="meta")
        self.refused(["expected 'codes' on meta as the other tensors, got cpu"], self.linear, meta)
        self.refused(["cpu", "meta"], self.linear, torch.randn(2, 24), self.weight[0].to("meta"))

    def test_cuda_kernels_are_registered(self):
        for op in ("quantize", "dequantize", "linear", "embedding", "linear_packed", "embedding_packed", "conv2d",
                   "conv2d_packed", "fake_quantize", "fake_quantize_backward", "linear_input_gradient",
                   "linear_packed_input_gradient", "conv2d_input_gradient", "conv2d_packed_input_gradient"):
            self.assertTrue(torch._C._dispatch_has_kernel_for_dispatch_key(f"bq::{op}", "CUDA"), op)

    @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
    def test_without_a_driver_cuda_kernels_are_one_sentence(self):
        cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
        x = torch.randn(2, 24)
        for op, arguments in [("linear", (x, *self.weight, None, "uint4:g16")), ("quantize", (x, "int4")),
                              ("dequantize", (*self.weight, "uint4:g16", [9, 24])),
                              ("embedding", (torch.tensor([0]), *self.weight, "uint4:g16", 24))]:
            with self.subTest(op):
                self.refused([f"bq::{op}: kernels for GPUs need NVIDIA's driver, which cannot be opened"], getattr(bq, op).default.redispatch, cuda,
                             *arguments)

    def test_embedding(self):
        for bad in (9, -1):
            self.refused([str(bad)], bq.embedding, torch.tensor([0, bad]), *self.weight, "uint4:g16", 24)
        self.refused(["'indices' are Float: use Long or Int"], bq.embedding, torch.zeros(2), *self.weight, "uint4:g16", 24)
        self.refused(["expected 'codes' [N, 13]", "got [9, 12]"], bq.embedding, torch.tensor([0]), *self.weight,
                     "uint4:g16", 25)

    def test_dequantize(self):
        self.refused(["hold 9 rows, 'shape' [8, 24] asks for 8"], bq.dequantize, *self.weight, "uint4:g16", [8, 24])
        self.refused(["sizes cannot be negative, got [9, -24]"], bq.dequantize, *self.weight, "uint4:g16", [9, -24])


class ChangedWeights(unittest.TestCase):
    """What an operator keeps of a weight that it has seen never outlives a change of it."""

    def check(self, change):
        (codes, scales, zeros), _ = quantized(9, 24, "uint4:g16")
        x = torch.randn(2, 24)
        before = bq.linear(x, codes, scales, zeros, None, "uint4:g16")
        self.assertTrue(torch.equal(before, bq.linear(x, codes, scales, zeros, None, "uint4:g16")))
        change(codes, scales, zeros)
        after = bq.linear(x, codes, scales, zeros, None, "uint4:g16")
        self.assertFalse(torch.equal(before, after))
        fresh = bq.linear(x, codes.clone(), scales.clone(), zeros.clone(), None, "uint4:g16")
        self.assertTrue(torch.equal(after, fresh))

    def test_in_place(self):
        self.check(lambda codes, scales, zeros: codes.bitwise_not_())
        self.check(lambda codes, scales, zeros: scales.mul_(2))
        self.check(lambda codes, scales, zeros: zeros[3:5].add_(1))
        self.check(lambda codes, scales, zeros: codes.view(-1)[7:9].bitwise_not_())

    def test_new_data(self):
        def change(codes, scales, zeros):
            scales.data = scales * 3

        self.check(change)

    def test_inference_tensors_keep_no_version(self):
        with torch.inference_mode():
            self.check(lambda codes, scales, zeros: codes.bitwise_not_())

    def test_a_freed_weight_takes_its_prepacked_form_along(self):
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        # Of a size that the allocator always gives back to the system when it is freed.
        n, k = 8192, 8192
        small, _ = quantized(9, 24, "int4:g16")
        bq.linear(torch.randn(1, 24), *small, None, "int4:g16")
        codes = torch.zeros(n, k, dtype=torch.uint8)
        bq.linear(torch.randn(1, k), codes, torch.ones(n, 1), None, None, "int8")
        del codes
        before = resident()
        # The weights of other tests are looked at too.
        for _ in range(64):
            bq.linear(torch.randn(1, 24), *small, None, "int4:g16")
        self.assertGreater(before - resident(), n * k // 2)

    def test_freed_and_made_again(self):
        x = torch.randn(2, 24)
        for seed in range(50):
            weight, exact = quantized(9, 24, "uint4:g16", seed)
            error = bq.linear(x, *weight, None, "uint4:g16").double() - x.double() @ exact.T
            self.assertTrue(bool((error.abs() <= sum_bound(x, exact)).all()))


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
