# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bits learned from Python: DiffQ's noise as a parametrization of weights, then packed layers on exactly those bits."""

import unittest

import torch
from torch.library import opcheck

from bqtest import sum_bound

bq = torch.ops.bq
GROUP = 8
LEAST, MOST = 2.0, 15.0


class LearnedBits(torch.nn.Module):
    """In training a weight with the noise of its bits, in evaluation the weight rounded to them."""

    def __init__(self, weight, bits=8.0):
        super().__init__()
        groups = (weight.numel() + GROUP - 1) // GROUP
        share = torch.tensor((bits - LEAST) / (MOST - LEAST))
        self.logits = torch.nn.Parameter(torch.logit(share).repeat(groups))

    def bits(self):
        return LEAST + (MOST - LEAST) * self.logits.sigmoid()

    def rounded(self, weight):
        """Codes and scales of the format mixed."""
        return bq.quantize_mixed(weight.detach(), self.bits().detach().round().to(torch.uint8), GROUP)

    def forward(self, weight):
        if self.training:
            seed = int(torch.randint(2**62, ()))
            return bq.diffq_noise(weight, self.bits(), GROUP, "gaussian", seed)
        codes, scales = self.rounded(weight)
        return bq.dequantize(codes, scales, None, f"mixed:g{GROUP}", weight.shape)


def with_learned_bits(model):
    for module in list(model.modules()):
        if isinstance(module, torch.nn.Linear):
            torch.nn.utils.parametrize.register_parametrization(module, "weight", LearnedBits(module.weight))
    return model


def learned(model):
    return [module for module in model.modules() if isinstance(module, LearnedBits)]


class Parametrization(unittest.TestCase):
    def train(self, model, penalty, steps=150):
        torch.manual_seed(1)
        x = torch.randn(256, 16)
        y = torch.sin(x @ torch.randn(16, 3) / 4)
        optimizer = torch.optim.Adam(
            [
                {"params": [p for name, p in model.named_parameters() if not name.endswith("logits")], "lr": 3e-3},
                {"params": [layer.logits for layer in learned(model)], "lr": 0.05},
            ]
        )
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            size = torch.cat([layer.bits() for layer in learned(model)]).mean()
            (loss + penalty * size).backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def model(self):
        torch.manual_seed(0)
        return with_learned_bits(
            torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
        )

    def test_learns_weights_and_bits_and_runs_on_these(self):
        model = self.model()
        losses = self.train(model, penalty=0.01)
        self.assertLess(sum(losses[-10:]), 0.5 * sum(losses[:10]))
        bits = torch.cat([layer.bits() for layer in learned(model)]).detach()
        self.assertLess(bits.mean().item(), 7)
        self.assertGreater(len(bits.round().unique()), 1)
        # The packed layer multiplies by the very weight that evaluation has seen.
        model.eval()
        x = torch.randn(5, 16)
        for layer, rows in ((model[0], 32), (model[2], 3)):
            parametrization = layer.parametrizations.weight
            codes, scales = parametrization[0].rounded(parametrization.original)
            packed = torch.classes.bq.PackedWeight(codes, scales, None, f"mixed:g{GROUP}", [rows, layer.in_features])
            expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
            y = bq.linear_packed(x, packed, layer.bias)
            # Both are sums in f32, each as far from the exact one as its bound.
            bound = 2 * sum_bound(x, layer.weight.detach().double(), layer.bias.detach())
            self.assertTrue(bool(((y - expected).abs() <= bound).all()))
            x = torch.tanh(expected)

    def test_a_penalty_alone_moves_bits(self):
        means = []
        for penalty in (0.0, 0.1):
            model = self.model()
            self.train(model, penalty, steps=40)
            means.append(torch.cat([layer.bits() for layer in learned(model)]).mean().item())
        self.assertLess(means[1], means[0] - 1)

    def test_an_exception_in_forward_leaves_parameters(self):
        model = self.model()
        before = {name: value.clone() for name, value in model.named_parameters()}
        with self.assertRaises(RuntimeError):
            model(torch.randn(4, 17))
        for name, value in model.named_parameters():
            self.assertTrue(torch.equal(value, before[name]), name)


class Operators(unittest.TestCase):
    def test_the_gradient_is_that_of_the_same_noise(self):
        torch.manual_seed(0)
        weight = torch.randn(6, 8, requires_grad=True)
        bits = torch.full((6,), 3.0, requires_grad=True)
        outer = torch.randn(6, 8)
        noisy = bq.diffq_noise(weight, bits, GROUP, "uniform", 5)
        self.assertTrue(torch.equal(noisy, bq.diffq_noise(weight, bits, GROUP, "uniform", 5)))
        self.assertFalse(torch.equal(noisy, bq.diffq_noise(weight, bits, GROUP, "uniform", 6)))
        noisy.backward(outer)
        # noisy = w + (max - min) / (2^b - 1) * n, and -ln2 2^b / (2^b - 1) is its noise's relative slope in b.
        noise = (noisy - weight).detach()
        expected = -(outer * noise).sum(1) * torch.log(torch.tensor(2.0)) * 8 / 7
        # noisy was rounded to f32, at up to 2^-24 of its size, and so was each step of either sum.
        bound = 16 * 2.0**-24 * (outer.abs() * (noise.abs() + weight.abs())).sum(1).detach()
        self.assertTrue(bool(((bits.grad - expected).abs() <= bound).all()))

    def test_opcheck(self):
        for shape, group in (((6, 8), GROUP), ((5, 7), 4), ((3, 5), 0)):
            groups = (shape[0] * shape[1] + group - 1) // group if group else 1
            weight, bits = torch.randn(shape, requires_grad=True), torch.full((groups,), 3.0, requires_grad=True)
            opcheck(bq.diffq_noise.default, (weight, bits, group, "gaussian", 5))
            opcheck(bq.diffq_noise_backward.default,
                    (torch.randn(shape), weight.detach(), bits.detach(), group, "uniform", 5))

    def test_traced_training_is_that_of_eager_calls(self):
        def loss(weight, bits):
            return (bq.diffq_noise(weight, bits, GROUP, "gaussian", 9) ** 2).sum()

        torch.manual_seed(0)
        weight, bits = torch.randn(6, 8), torch.full((6,), 3.0)
        gradients = []
        for run in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
            w, b = weight.clone().requires_grad_(), bits.clone().requires_grad_()
            run(w, b).backward()
            gradients.append((w.grad, b.grad))
        for eager, traced in zip(*gradients):
            self.assertTrue(torch.equal(eager, traced))

    def test_mixed_weights_have_shapes_without_data(self):
        torch.manual_seed(0)
        codes, scales = bq.quantize_mixed(torch.randn(6, 16), torch.full((12,), 3, dtype=torch.uint8), GROUP)
        fmt, bias = f"mixed:g{GROUP}", torch.randn(6)
        opcheck(bq.linear.default, (torch.randn(5, 16, requires_grad=True), codes, scales, None, bias, fmt))
        opcheck(bq.linear_input_gradient.default, (torch.randn(5, 6), codes, scales, None, fmt, 16))
        opcheck(bq.embedding.default, (torch.randint(6, (2, 3)), codes, scales, None, fmt, 16))
        meta = [tensor.to("meta") for tensor in (torch.empty(5, 16), codes, scales)]
        self.assertEqual(bq.linear(*meta, None, bias.to("meta"), fmt).shape, (5, 6))
        with self.assertRaisesRegex(RuntimeError, "use a PackedWeight, or in bq::linear a bias"):
            bq.linear(*meta, None, None, fmt)
        with self.assertRaisesRegex(RuntimeError, "expected 'scales' of type Float"):
            bq.linear(meta[0], meta[1], meta[2][:1], None, bias.to("meta"), fmt)

    def test_the_length_of_mixed_codes_is_known_with_the_bits(self):
        class Rounded(torch.nn.Module):
            def forward(self, weight, bits):
                codes, scales = bq.quantize_mixed(weight, bits, GROUP)
                return codes, bq.dequantize(codes, scales, None, f"mixed:g{GROUP}", weight.shape)

        torch.manual_seed(0)
        weight = torch.randn(5, 7)
        exported = torch.export.export(Rounded(), (weight, torch.full((5,), 3, dtype=torch.uint8)))
        with torch._dynamo.config.patch(capture_scalar_outputs=True):
            compiled = torch.compile(Rounded(), backend="aot_eager", fullgraph=True)
            for bits in (torch.full((5,), 3), torch.full((5,), 15), torch.tensor([1, 9, 4, 4, 2])):
                bits = bits.to(torch.uint8)
                expected = Rounded()(weight, bits)
                for traced in (exported.module(), compiled, exported.run_decompositions().module()):
                    for eager, own in zip(expected, traced(weight, bits)):
                        self.assertTrue(torch.equal(eager, own))
        opcheck(bq.quantize_mixed.default, (weight, bits, GROUP))
        opcheck(bq.quantize_mixed.default, (weight, torch.full((1,), 3, dtype=torch.uint8), 0))
        for bits, part in ((torch.full((4,), 3, dtype=torch.uint8), r"expected 'bits' \[5\]"),
                           (torch.full((5,), 3), "expected 'bits' of type Byte")):
            with self.assertRaisesRegex(Exception, part):
                torch.export.export(Rounded(), (weight, bits))
        with self.assertRaisesRegex(RuntimeError, "which meta tensors do not have"):
            bq.quantize_mixed(weight.to("meta"), bits.to("meta"), GROUP)

    def test_refusals(self):
        weight = torch.randn(4, 8)
        with self.assertRaisesRegex(RuntimeError, "gaussian"):
            bq.diffq_noise(weight, torch.full((4,), 3.0), GROUP, "normal", 0)
        with self.assertRaisesRegex(RuntimeError, r"expected 'gradient' \[4, 8\]"):
            bq.diffq_noise_backward(weight[:2], weight, torch.full((4,), 3.0), GROUP, "gaussian", 0)
        with self.assertRaisesRegex(RuntimeError, "NaN|finite"):
            bq.quantize_mixed(weight * float("nan"), torch.full((4,), 3, dtype=torch.uint8), GROUP)
        with self.assertRaisesRegex(RuntimeError, "bits"):
            bq.quantize_mixed(weight, torch.full((4,), 16, dtype=torch.uint8), GROUP)


if __name__ == "__main__":
    unittest.main()
