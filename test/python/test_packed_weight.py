# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.classes.bq.PackedWeight: what is saved, and what other processes read."""

import copy
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import torch

from bqtest import FORMATS, quantized

bq = torch.ops.bq


class Model(torch.nn.Module):
    def __init__(self, fmt):
        super().__init__()
        self.word = torch.classes.bq.PackedWeight(*quantized(11, 24, fmt, 1)[0], fmt, [11, 24])
        self.up = torch.classes.bq.PackedWeight(*quantized(9, 24, fmt, 2)[0], fmt, [9, 24])
        self.bias = torch.nn.Parameter(torch.randn(9))

    def forward(self, indices: torch.Tensor):
        x = torch.ops.bq.embedding_packed(indices, self.word)
        return torch.ops.bq.linear_packed(x, self.up, self.bias, "f32", "relu")


class PackedWeight(unittest.TestCase):
    def test_equals_the_operators(self):
        for fmt in FORMATS:
            weight, _ = quantized(9, 24, fmt)
            packed = torch.classes.bq.PackedWeight(*weight, fmt, [9, 24])
            x, bias = torch.randn(2, 3, 24), torch.randn(9)
            self.assertTrue(torch.equal(packed.linear(x, bias, "f32", "gelu"), bq.linear(x, *weight, bias, fmt, "f32", "gelu")))
            self.assertTrue(torch.equal(bq.linear_packed(x, packed, None), bq.linear(x, *weight, None, fmt)))
            indices = torch.tensor([[1, 8], [0, 0]])
            self.assertTrue(torch.equal(packed.embedding(indices), bq.embedding(indices, *weight, fmt, 24)))
            self.assertTrue(torch.equal(packed.dequantize(), bq.dequantize(*weight, fmt, [9, 24])))
            self.assertEqual((packed.format(), packed.shape()), (fmt, [9, 24]))

    def test_bytes_are_told_apart(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        packed = torch.classes.bq.PackedWeight(*weight, "uint4:g16", [9, 24])
        canonical = 9 * 12 + 9 * 2 * 4 + 9 * 2
        self.assertEqual((packed.bytes(), packed.resident_bytes()), (canonical, canonical))
        packed.linear(torch.randn(1, 24))
        self.assertEqual(packed.bytes(), canonical)
        self.assertGreater(packed.resident_bytes(), canonical)

    def test_a_changed_tensor_is_noticed(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        packed = torch.classes.bq.PackedWeight(*weight, "uint4:g16", [9, 24])
        x = torch.randn(2, 24)
        before = packed.linear(x)
        packed.scales().mul_(2)
        torch.testing.assert_close(packed.linear(x), 2 * before, rtol=2.0**-20, atol=1e-6)

    def test_meta(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        packed = torch.classes.bq.PackedWeight(*weight, "uint4:g16", [9, 24])
        y = packed.linear(torch.empty(5, 3, 24, device="meta", dtype=torch.bfloat16))
        self.assertEqual((y.shape, y.dtype, y.device.type), ((5, 3, 9), torch.bfloat16, "meta"))
        self.assertEqual(packed.embedding(torch.zeros(4, dtype=torch.long, device="meta")).shape, (4, 24))

    def test_prepare(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        packed = torch.classes.bq.PackedWeight(*weight, "uint4:g16", [9, 24])
        packed.prepare([1, 20], "i8", "gelu", True, torch.float16)
        forward = packed.resident_bytes()
        self.assertGreater(forward, packed.bytes())
        packed.prepare([1, 20], "i8", input_gradient=True)
        self.assertGreater(packed.resident_bytes(), forward, "the transposed weight")
        with self.assertRaisesRegex(RuntimeError, "expected positive numbers of rows, got 0"):
            packed.prepare([0])

    @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
    def test_a_gpu_without_a_driver_is_one_sentence(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        packed = torch.classes.bq.PackedWeight(*weight, "uint4:g16", [9, 24])
        for device in ("cuda", "cuda:1"):
            with self.assertRaisesRegex(RuntimeError, "kernels for GPUs need NVIDIA's driver, which cannot be opened"):
                packed.prepare([1], device=torch.device(device))

    def test_refusals(self):
        weight, _ = quantized(9, 24, "uint4:g16")
        make = torch.classes.bq.PackedWeight
        for parts, args in (
            (["expected 'codes' [N, 13]", "got [9, 12]"], (*weight, "uint4:g16", [9, 25])),
            (["'codes' [9, 12] do not fit the shape [8, 24]"], (*weight, "uint4:g16", [8, 24])),
            (["format 'uint9' has 9 bits"], (*weight, "uint9", [9, 24])),
            (["expected a weight [N, K] or [O, I, kh, kw], got [9]"], (*weight, "uint4:g16", [9])),
        ):
            with self.assertRaises(RuntimeError) as caught:
                make(*args)
            for part in parts:
                self.assertIn(part, str(caught.exception))
        packed = make(*weight, "uint4:g16", [9, 24])
        for part, call in (
            ("'x' [2, 25] does not fit the weight [9, 24]", lambda: packed.linear(torch.randn(2, 25))),
            ("compute 'f64' is not known", lambda: packed.linear(torch.randn(2, 24), None, "f64")),
            ("got Float [8]", lambda: packed.linear(torch.randn(2, 24), torch.randn(8))),
        ):
            with self.assertRaises(RuntimeError) as caught:
                call()
            self.assertIn(part, str(caught.exception))


class Saved(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, *names):
        path = os.path.join(self.folder.name, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def test_running_changes_nothing_that_is_saved(self):
        indices = torch.tensor([[1, 4, 10], [0, 2, 2]])
        for fmt in FORMATS:
            module = torch.jit.script(Model(fmt))
            # The file's name is a part of the archive.
            before, after, again = (self.path(fmt, when, "model.pt") for when in ("before", "after", "again"))
            module.save(before)
            result = module(indices)
            module.save(after)
            loaded = torch.jit.load(after)
            self.assertTrue(torch.equal(loaded(indices), result))
            loaded.save(again)
            first, second, third = (pathlib.Path(path).read_bytes() for path in (before, after, again))
            self.assertTrue(first == second, fmt)
            self.assertEqual(len(third), len(first))

    def test_another_process_reads_it(self):
        indices = torch.tensor([[1, 4, 10], [0, 2, 2]])
        module = torch.jit.script(Model("uint4:g16"))
        module.save(self.path("model.pt"))
        torch.save((indices, module(indices)), self.path("expected.pt"))
        program = (
            "import os, sys, torch\n"
            "torch.ops.load_library(os.environ['BQ_TORCH_LIBRARY'])\n"
            "indices, expected = torch.load(sys.argv[2])\n"
            "assert torch.equal(torch.jit.load(sys.argv[1])(indices), expected)\n"
        )
        subprocess.run([sys.executable, "-c", program, self.path("model.pt"), self.path("expected.pt")], check=True)

    def test_a_copy_computes_the_same(self):
        module = torch.jit.script(Model("int4:g16"))
        indices = torch.tensor([3, 5])
        self.assertTrue(torch.equal(copy.deepcopy(module)(indices), module(indices)))


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
