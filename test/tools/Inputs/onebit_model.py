# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""onebit_model.py FOLDER: models whose linear layers are decomposed, and calibration data."""

import pathlib
import sys

import torch


class Block(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.up = torch.nn.Linear(size, 2 * size)
        self.down = torch.nn.Linear(2 * size, size)

    def forward(self, x):
        return x + self.down(torch.nn.functional.gelu(self.up(x)))


def model(size, blocks):
    return torch.nn.Sequential(*[Block(size) for _ in range(blocks)]).eval()


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
size = 64
scales = torch.randn(size).exp()
small = model(size, 2)
torch.jit.trace(small, torch.randn(3, size)).save(folder / "model.pt")
data = [(torch.randn(64, size) * scales,) for _ in range(4)]
torch.save(data, folder / "data.pt")
torch.save([(torch.randn(64, size) * scales,) for _ in range(4)], folder / "judge.pt")
torch.save([(torch.randn(4, size + 1),)], folder / "wide.pt")
torch.save(data[:2] + [(torch.full((1, size), float("inf")),)], folder / "infinite.pt")
torch.jit.trace(model(256, 6), torch.randn(3, 256)).save(folder / "large.pt")
torch.save([(torch.randn(512, 256),)], folder / "large-data.pt")


class Branch(torch.nn.Module):
    """Its second layer is used by a method that data do not call."""

    def __init__(self):
        super().__init__()
        self.used = torch.nn.Linear(size, size)
        self.unused = torch.nn.Linear(size, size)

    def forward(self, x):
        return self.used(x)

    @torch.jit.export
    def other(self, x):
        return self.unused(x)


torch.jit.script(Branch()).save(folder / "branch.pt")

uneven = model(size, 2)
with torch.no_grad():
    uneven[1].down.weight.mul_(0.02)
torch.jit.trace(uneven, torch.randn(3, size)).save(folder / "uneven.pt")
