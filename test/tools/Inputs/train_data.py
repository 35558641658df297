# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""train_data.py FOLDER: data for bqc train, good and bad, and TorchScript models."""

import pathlib
import sys

import torch

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)

# Three classes on a line, 40 examples of each, easy to tell apart.
labels = torch.arange(120) % 3
features = torch.randn(120, 4) * 0.1 + labels[:, None] * torch.tensor([1.0, -1.0, 0.5, 0.0])
names = ["red", "green", "blue"]


def csv(name, rows):
    (folder / name).write_text("\n".join(rows) + "\n")


rows = [",".join(f"{value:.4f}" for value in example) for example in features.tolist()]
named = ["a,b,colour,c,d"] + [
    ",".join([*row.split(",")[:2], names[label], *row.split(",")[2:]]) for row, label in zip(rows, labels)
]
csv("colours.csv", named)
csv("last.csv", [f"{row},{label}" for row, label in zip(rows, labels.tolist())])
csv("nan.csv", [*named[:5], "1,nan,red,2,3", *named[5:]])
csv("word.csv", [*named[:5], "1,2,red,wide,3", *named[5:]])
csv("ragged.csv", [*named[:5], "1,2,red", *named[5:]])
csv("nolabel.csv", [*named[:5], "1,2,,3,4", *named[5:]])
csv("single.csv", ["1,2", "1,3", "1,4"])
csv("one.csv", [f"{row},7" for row in rows])
csv("rare.csv", [f"{row},{label}" for row, label in zip(rows, labels.tolist())] + ["1,2,3,4,9"])
csv("names.csv", named[:1])

torch.save((features, labels), folder / "pair.pt")
torch.save({"x": torch.randn(60, 3, 6, 6) + labels[:60, None, None, None], "y": labels[:60]}, folder / "images.pt")
torch.save((features, labels[:100]), folder / "short.pt")
torch.save((features, labels.float()), folder / "floats.pt")
torch.save((torch.tensor(1.0), labels), folder / "scalar.pt")
torch.save([features], folder / "alone.pt")
broken = features.clone()
broken[17, 2] = float("inf")
torch.save((broken, labels), folder / "infinite.pt")


class Model(torch.nn.Module):
    def __init__(self, features: int, classes: int):
        super().__init__()
        self.up = torch.nn.Linear(features, 32)
        self.down = torch.nn.Linear(32, classes)

    def forward(self, x):
        return self.down(torch.relu(self.up(x.flatten(1))))


torch.jit.script(Model(4, 3)).save(folder / "small.pt")
torch.jit.script(Model(5, 3)).save(folder / "wide.pt")
torch.jit.script(Model(4, 2)).save(folder / "narrow.pt")
torch.jit.script(torch.nn.ReLU()).save(folder / "nothing.pt")
