# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""train_saved.py LIBRARY DIGITS REPORT MODEL: the saved model takes raw pixels, in Python too, and is as good as reported."""

import json
import sys

import torch

library, digits, report, path = sys.argv[1:]
torch.ops.load_library(library)
rows = torch.tensor([[float(field) for field in line.split(",")] for line in open(digits)])
model = torch.jit.load(path)
assert not model.training
with torch.inference_mode():
    accuracy = (model(rows[:, :64].reshape(-1, 1, 8, 8)).argmax(1) == rows[:, 64]).double().mean().item()
# Of all digits, four fifths of which it has seen.
assert accuracy > json.load(open(report))["packed_accuracy"] - 0.01, accuracy
print("saved model works")
