# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""model.py FOLDER: a small TorchScript model with its inputs, and files that are no such model."""

import pathlib
import sys
import zipfile

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings = torch.nn.Embedding(50, 64)
        self.up = torch.nn.Linear(64, 96)
        self.down = torch.nn.Linear(96, 64)

    def forward(self, x):
        return self.down(torch.nn.functional.gelu(self.up(self.word_embeddings(x)))).mean(1)


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
model = Model().eval()
indices = [torch.randint(0, 50, (8, 5)), torch.randint(0, 50, (8, 9))]
traced = torch.jit.trace(model, indices[0])
traced.save(folder / "model.pt")
torch.save([(x,) for x in indices], folder / "inputs.pt")
torch.save([x.float() for x in indices], folder / "wrong-inputs.pt")
torch.save([["text"]], folder / "no-tensors.pt")

torch.save(model.state_dict(), folder / "state-dict.pt")
(folder / "text.pt").write_text("not a model\n")
(folder / "truncated.pt").write_bytes((folder / "model.pt").read_bytes()[:-1000])
(folder / "empty.pt").write_bytes(b"")
with zipfile.ZipFile(folder / "model.pt") as source, zipfile.ZipFile(folder / "newer.pt", "w") as target:
    for name in source.namelist():
        target.writestr(name, b"99999\n" if name.endswith("/version") else source.read(name))
with torch.no_grad():
    model.up.weight[3, 5] = float("nan")
torch.jit.trace(model, indices[0], check_trace=False).save(folder / "nan.pt")
