# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Conversion of models with convolutions, by bqc quantize and bqc compare."""

import json
import os
import subprocess
import unittest

import torch
from torch import nn

import bqtest


class Network(nn.Module):
    """Plain, strided, dilated, grouped and depthwise convolutions, one through the functional interface."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.blocks = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16),
                                    nn.Conv2d(16, 32, 1), nn.SiLU(), nn.Conv2d(32, 32, 3, 2, dilation=2, groups=2))
        self.kernel = nn.Parameter(torch.randn(8, 32, 1, 1))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.conv2d(self.blocks(self.stem(x)), self.kernel)
        return self.head(torch.relu(x).mean((2, 3)))


class Others(nn.Module):
    """What stays as it is, beside one convolution that does not."""

    def __init__(self):
        super().__init__()
        self.reflected = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
        self.named = nn.Conv2d(4, 4, 3, padding="same")
        self.transposed = nn.ConvTranspose2d(4, 4, 2)
        self.plain = nn.Conv2d(4, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.plain(self.transposed(self.named(self.reflected(x))))


class Convolutions(bqtest.ConversionTest):
    names = ["stem.0", "blocks.0", "blocks.2", "blocks.4", "kernel"]

    def decodes(self, model, eager):
        converted, report = self.quantize(model, "--format", "uint4:g8")
        layers = self.layers(report)
        self.assertEqual(sorted(layers), sorted(self.names + ["head"]))
        self.assertEqual({name: layers[name]["op"] for name in self.names}, {name: "conv2d" for name in self.names})
        self.assertEqual(layers["blocks.4"]["shape"], [32, 16, 3, 3])
        fused = {name: layer["activation"] for name, layer in layers.items() if layer["activation"] != "none"}
        self.assertEqual(fused, {"stem.0": "relu", "blocks.2": "silu", "kernel": "relu"})
        with torch.no_grad():
            eager.kernel.copy_(converted.kernel.dequantize())
            for name in self.names[:-1] + ["head"]:
                held, owner = converted, eager
                for part in name.split("."):
                    held, owner = getattr(held, part), getattr(owner, part)
                owner.weight.copy_(held.weight.dequantize())
            for memory in (torch.contiguous_format, torch.channels_last):
                x = torch.randn(2, 3, 17, 14).to(memory_format=memory)
                # Values of order 1 behind layers of up to 144 terms summed in another order.
                torch.testing.assert_close(converted(x), eager(x), rtol=1e-4, atol=1e-4)

    def test_scripted(self):
        eager = Network().eval()
        self.decodes(torch.jit.script(eager), eager)

    def test_traced(self):
        eager = Network().eval()
        self.decodes(torch.jit.trace(eager, torch.randn(1, 3, 12, 12)), eager)

    def test_what_stays_says_why(self):
        eager = Others().eval()
        converted, report = self.quantize(torch.jit.script(eager), "--format", "int8")
        self.assertEqual([layer["name"] for layer in report["layers"]], ["plain"])
        reasons = {tensor["name"]: tensor["reason"] for tensor in report["kept"]}
        self.assertIn("padding_mode is not zeros", reasons["reflected.weight"])
        self.assertIn("padding is 'same'", reasons["named.weight"])
        self.assertIn("transposed convolution", reasons["transposed.weight"])
        traced = torch.jit.trace(eager, torch.randn(1, 3, 8, 8))
        _, report = self.quantize(traced, "--format", "int8")
        # In a trace padding by reflection is an operation of its own.
        self.assertEqual(sorted(self.layers(report)), ["plain", "reflected"])
        reasons = {tensor["name"]: tensor["reason"] for tensor in report["kept"]}
        self.assertIn("padding is a name", reasons["named.weight"])
        self.assertIn("transposed convolution", reasons["transposed.weight"])

    def test_rules_and_excludes(self):
        model = torch.jit.script(Network().eval())
        _, report = self.quantize(model, "--format", "int8", "--format", "stem=uint4:g9", "--exclude", r"blocks\.0")
        formats = {name: layer["format"] for name, layer in self.layers(report).items()}
        self.assertEqual(formats, {"stem.0": "uint4:g9", "blocks.2": "int8", "blocks.4": "int8", "kernel": "int8",
                                   "head": "int8"})
        reasons = {tensor["name"]: tensor["reason"] for tensor in report["kept"]}
        self.assertEqual(reasons["blocks.0.weight"], "excluded")

    def test_compare(self):
        model = torch.jit.script(Network().eval())
        for compute, least in (("f32", 0.9999), ("i16", 0.9999), ("i8", 0.999)):
            converted, _ = self.quantize(model, "--format", "int8", "--compute", compute)
            inputs = self.folder / "inputs.pt"
            torch.save([(torch.randn(4, 3, 24, 24),) for _ in range(2)], inputs)
            command = [os.environ["BQ_BQC"], "compare", self.folder / "in.pt", self.folder / "out.pt", "--inputs", inputs,
                       "--json", self.folder / "compare.json"]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            # 8 bits of weights and of activations: each product is off by less than 1 %.
            self.assertGreater(json.loads((self.folder / "compare.json").read_text())["min_cosine"], least)

    def test_gradients_pass_through(self):
        converted, _ = self.quantize(torch.jit.script(Network().eval()), "--format", "int8")
        x = torch.randn(1, 3, 12, 12, requires_grad=True)
        converted(x).sum().backward()
        self.assertGreater(float(x.grad.abs().sum()), 0)


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
