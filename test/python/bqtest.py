# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the Python tests share: the operator library, formats, and bounds of rounding errors."""

import copy
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import torch

torch.ops.load_library(os.environ["BQ_TORCH_LIBRARY"])

# One of each kind; 24 columns in groups of 16 leave a short group, widths of 3 and 1 bits leave padding in a row.
FORMATS = ["int4:g16", "int3", "int8:g8", "uint4:g16", "uint1:g16", "nf4:g16", "fp4:g16", "sign"]
ACTIVATIONS = {
    "none": lambda x: x,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
}


def quantized(n, k, fmt, seed=0, dtype=torch.float32):
    """A random weight [n, k] as (codes, scales, zeros), and what it stands for in double precision."""
    generator = torch.Generator().manual_seed(seed)
    codes, scales, zeros = torch.ops.bq.quantize(torch.randn(n, k, generator=generator).to(dtype), fmt)
    return (codes, scales, zeros), torch.ops.bq.dequantize(codes, scales.float(), zeros, fmt, [n, k]).double()


def sum_bound(x, weight, bias=None):
    """How far an f32 sum of x W^T + bias may be from the exact one, element by element.

    Summing K + 1 products in any order makes an error of at most (K + 2) u (|x| |W|^T + |bias|), with u = 2^-24, the unit
    roundoff of f32; each weight scale * (code - zero) brings at most 3 roundings of its own.
    """
    magnitude = x.double().abs() @ weight.abs().T
    if bias is not None:
        magnitude = magnitude + bias.double().abs()
    return (weight.shape[1] + 5) * 2.0**-24 * magnitude + 1e-38


class ConversionTest(unittest.TestCase):
    """A test that converts models by bqc quantize."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def quantize(self, module, *arguments):
        """The converted module and the report."""
        source, target, report = (self.folder / name for name in ("in.pt", "out.pt", "report.json"))
        module.save(str(source))
        command = [os.environ["BQ_BQC"], "quantize", source, "-o", target, "--report", report, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return torch.jit.load(str(target)), json.loads(report.read_text())

    def assert_decodes(self, eager, converted, report, *inputs):
        """The converted model computes what the float one does with the decoded weights."""
        decoded = copy.deepcopy(eager)
        for layer in report["layers"]:
            held, owner = converted, decoded
            for name in layer["name"].split("."):
                held, owner = getattr(held, name), getattr(owner, name)
            self.assertFalse(torch.is_tensor(held.weight))
            owner.weight.data = held.weight.dequantize()
        with torch.no_grad():
            actual, expected = converted(*inputs), decoded(*inputs)
        # Values of order 1 behind layers of up to 64 terms summed in another order, each followed by a LayerNorm.
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)

    def layers(self, report):
        return {layer["name"]: layer for layer in report["layers"]}
