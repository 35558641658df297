# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Conversion of models as torch.jit.trace and torch.jit.script save them, by bqc quantize."""

import copy
import os
import unittest
import warnings
from typing import Tuple

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import nn

import bqtest


class Block(nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(width, 2 * width), activation, nn.Linear(2 * width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.down(self.act(self.up(x))))


class Network(nn.Module):
    """Modules of one type in a list, an embedding, a Sequential, and an activation as a function."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(13, 24, padding_idx=0)
        self.blocks = nn.ModuleList([Block(24, nn.GELU()), Block(24, nn.GELU("tanh")), Block(24, nn.ReLU(inplace=True))])
        self.head = nn.Sequential(nn.Linear(24, 16), nn.SiLU(), nn.Linear(16, 4))

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        x = self.words(indices)
        for block in self.blocks:
            x = block(x)
        return torch.nn.functional.relu(self.head(x))


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


class ControlFlow(nn.Module):
    """One module under two names, called in a loop, and an activation in a branch."""

    def __init__(self):
        super().__init__()
        self.first, self.branch = Inner(), nn.Linear(8, 8)
        self.again = self.first

    def forward(self, x: torch.Tensor, flag: bool) -> torch.Tensor:
        for _ in range(3):
            x = self.first(x)
            x = torch.relu(self.branch(x)) if flag else self.again(x)
        return x

    @torch.jit.export
    def twice(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(self.forward(x, True), False)


def doubled(self, inputs: Tuple[torch.Tensor], result: torch.Tensor) -> torch.Tensor:
    return 2 * result


class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.out = Inner(), nn.Linear(8, 4)
        self.inner.register_forward_hook(doubled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.inner(x))


ACTIVATIONS = {"blocks.0.up": "gelu", "blocks.1.up": "gelu_tanh", "blocks.2.up": "relu", "head.0": "silu", "head.2": "relu"}


class Conversion(bqtest.ConversionTest):
    def test_scripted(self):
        eager = Network().eval()
        converted, report = self.quantize(torch.jit.script(eager), "--format", "uint4:g8", "--format", "words=int8")
        indices = torch.tensor([[1, 0, 12], [4, 5, 5]])
        self.assert_decodes(eager, converted, report, indices)
        fused = {name: layer["activation"] for name, layer in self.layers(report).items() if layer["activation"] not in (None, "none")}
        self.assertEqual(fused, ACTIVATIONS)
        self.assertEqual(self.layers(report)["words"]["op"], "embedding")

    def test_traced(self):
        eager = Network().eval()
        traced = torch.jit.trace(eager, torch.tensor([[1, 0, 12]]))
        converted, report = self.quantize(traced, "--format", "uint4:g8", "--format", "words=int8")
        self.assert_decodes(eager, converted, report, torch.tensor([[1, 0, 12, 3], [4, 5, 5, 5]]))
        fused = {name: layer["activation"] for name, layer in self.layers(report).items() if layer["activation"] not in (None, "none")}
        self.assertEqual(fused, ACTIVATIONS)

    def test_modules_of_one_type_can_differ(self):
        eager = Network().eval()
        converted, report = self.quantize(
            torch.jit.script(eager), "--format", "int8", "--format", r"^blocks\.1\.=nf4:g8", "--exclude", r"blocks\.0"
        )
        formats = {name: layer["format"] for name, layer in self.layers(report).items()}
        self.assertEqual(formats, {"blocks.1.up": "nf4:g8", "blocks.1.down": "nf4:g8", "blocks.2.up": "int8",
                                   "blocks.2.down": "int8", "head.0": "int8", "head.2": "int8"})
        self.assertTrue(torch.is_tensor(getattr(converted.blocks, "0").up.weight))
        self.assert_decodes(eager, converted, report, torch.tensor([[7, 8]]))

    def test_attention_of_torch(self):
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.MultiheadAttention(24, 4, batch_first=True)
                self.out = nn.Linear(24, 8)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.out(self.inner(x, x, x)[0])

        eager = Attention().eval()
        converted, report = self.quantize(torch.jit.script(eager), "--format", "int8")
        self.assertIn("out", self.layers(report))
        x = torch.randn(2, 5, 24)
        for layer in report["layers"]:
            self.assertEqual(layer["name"], "out", "its weights are passed to a function that uses them otherwise")
        self.assert_decodes(eager, converted, report, x)

    def test_bert(self):
        import transformers

        config = transformers.BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                         intermediate_size=64, max_position_embeddings=40)
        eager = transformers.BertModel(config).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mask = torch.ones(2, 5, dtype=torch.long)
            traced = torch.jit.trace(eager, (torch.randint(50, (2, 5)), mask), strict=False)
        converted, report = self.quantize(traced, "--format", "uint4:g16", "--format", "word_embeddings=int8",
                                          "--exclude", "pooler")
        layers = self.layers(report)
        self.assertEqual(len(layers), 2 * 6 + 1)
        self.assertEqual(layers["encoder.layer.1.intermediate.dense"]["activation"], "gelu")
        kept = {tensor["name"]: tensor["reason"] for tensor in report["kept"]}
        self.assertEqual(kept["pooler.dense.weight"], "excluded")
        self.assertEqual(kept["embeddings.position_embeddings.weight"], "no rule names this embedding")
        decoded = copy.deepcopy(eager)
        for name in layers:
            held = converted
            for part in name.split("."):
                held = getattr(held, part)
            decoded.get_submodule(name).weight.data = held.weight.dequantize()
        indices, mask = torch.randint(50, (3, 9)), torch.ones(3, 9, dtype=torch.long)
        mask[1, 4:] = 0
        with torch.no_grad():
            actual, expected = converted(indices, mask), decoded(indices, mask)
        torch.testing.assert_close(actual["last_hidden_state"], expected[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(actual["pooler_output"], expected[1], rtol=1e-4, atol=1e-4)

    def test_control_flow(self):
        eager = ControlFlow().eval()
        converted, report = self.quantize(torch.jit.script(eager), "--format", "int8")
        decoded = copy.deepcopy(eager)
        decoded.first.fc.weight.data = converted.first.fc.weight.dequantize()
        decoded.branch.weight.data = converted.branch.weight.dequantize()
        x = torch.randn(3, 8)
        for flag in (True, False):
            torch.testing.assert_close(converted(x, flag), decoded(x, flag), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(converted.twice(x), decoded.twice(x), rtol=1e-4, atol=1e-4)
        self.assertEqual([layer["name"] for layer in report["layers"]], ["first.fc, again.fc", "branch"])

    def test_modules_with_hooks_stay(self):
        eager = Hooked().eval()
        converted, report = self.quantize(torch.jit.script(eager), "--format", "int8")
        self.assertEqual([layer["name"] for layer in report["layers"]], ["out"])
        kept = {tensor["name"]: tensor["reason"] for tensor in report["kept"]}
        self.assertIn("hooks", kept["inner.fc.weight"])
        self.assert_decodes(eager, converted, report, torch.randn(3, 8))

    def test_running_changes_nothing_that_is_saved(self):
        converted, _ = self.quantize(torch.jit.script(Network().eval()), "--format", "int4:g8", "--format", "words=int8")
        contents = []
        for when in ("before", "after"):
            path = self.folder / when / "model.pt"
            path.parent.mkdir()
            converted.save(str(path))
            contents.append(path.read_bytes())
            with torch.no_grad():
                converted(torch.tensor([[1, 2]]))
        self.assertTrue(contents[0] == contents[1])

    def test_gradients_pass_through(self):
        eager = Network().eval()
        converted, _ = self.quantize(torch.jit.script(eager), "--format", "int8")
        converted(torch.tensor([[1, 2], [3, 4]])).sum().backward()
        self.assertGreater(float(converted.words.weight.grad.abs().sum()), 0)
        self.assertGreater(float(getattr(converted.blocks, "0").up.bias.grad.abs().sum()), 0)


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main(warnings="ignore")
