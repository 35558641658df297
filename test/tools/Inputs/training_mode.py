# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""training_mode.py FOLDER BQC LIBRARY: quantizes a model some modules of which train; prints those of the result.

Writes FOLDER/model.pt, out.pt and inputs.pt.
"""

import pathlib
import subprocess
import sys

import torch


class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(64, 64)
        self.down = torch.nn.Linear(64, 64)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Dropout(0.5)
        self.head = Head()

    def forward(self, x):
        return self.head(self.frozen(self.dropout(x)))


def training(path):
    return [name for name, module in torch.jit.load(path).named_modules() if module.training]


folder, bqc = pathlib.Path(sys.argv[1]), sys.argv[2]
torch.ops.load_library(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
model = Model()
model.frozen.eval()
model.head.down.eval()
torch.jit.script(model).save(folder / "model.pt")
torch.save([(torch.randn(8, 64),)], folder / "inputs.pt")
command = [bqc, "quantize", folder / "model.pt", "-o", folder / "out.pt", "--format", "int8", "--quiet"]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
before, after = training(folder / "model.pt"), training(folder / "out.pt")
assert before == after, (before, after)
print("training:", ", ".join(name or "(model)" for name in after))
