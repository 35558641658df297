# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes inputs for `bqc distill`: what Debian's packages say of themselves, tokenized for the demo's encoder.

Sentences are the one-line descriptions of all packages that apt knows. Those of installed packages never train: 256 of
them, spread evenly, are test.pt. train.pt has all others, each once, in batches of sentences with the same number of
tokens, so that nothing is padded.
"""

import argparse
import os
import pathlib
import random
import subprocess

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
import transformers

from demo_model import model_folder, tokenize

TEST = 256


def descriptions(text):
    """The distinct one-line descriptions in a list of packages, sorted."""
    keys = ("Description: ", "Description-en: ")
    return sorted({line.split(": ", 1)[1].strip() for line in text.splitlines() if line.startswith(keys)})


def batches_of_one_length(sentences, size, seed):
    """Batches (input_ids, attention_mask) of up to `size` token lists of the same length, in random order."""
    order = random.Random(seed)
    by_length = {}
    for ids in sentences:
        by_length.setdefault(len(ids), []).append(ids)
    batches = []
    for length in sorted(by_length):
        same = by_length[length]
        order.shuffle(same)
        for i in range(0, len(same), size):
            ids = torch.tensor(same[i : i + size])
            batches.append((ids, torch.ones_like(ids)))
    order.shuffle(batches)
    return batches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for train.pt and test.pt")
    parser.add_argument("--batch", type=int, default=32, help="sentences in a batch (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order (%(default)s)")
    parser.add_argument("--available", type=pathlib.Path, help="list of packages; else what apt-cache dumpavail says")
    parser.add_argument("--installed", type=pathlib.Path, default="/var/lib/dpkg/status", help="(%(default)s)")
    arguments = parser.parse_args()

    if arguments.available:
        available = arguments.available.read_text(encoding="utf-8")
    else:
        available = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    installed = descriptions(arguments.installed.read_text(encoding="utf-8"))
    training = sorted(set(descriptions(available)) - set(installed))
    if len(installed) < TEST or not training:
        raise SystemExit(
            f"distill_data: error: {len(installed)} installed and {len(training)} other descriptions, expected "
            f"{TEST} and 1 at least: run apt-get update"
        )

    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder())
    tokens = tokenizer(training, truncation=True, max_length=512)["input_ids"]
    train = batches_of_one_length(tokens, arguments.batch, arguments.seed)
    chosen = [installed[i * len(installed) // TEST] for i in range(TEST)]
    test = [tokenize(tokenizer, chosen[i : i + 32]) for i in range(0, TEST, 32)]

    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save(train, arguments.out / "train.pt")
    torch.save(test, arguments.out / "test.pt")
    print(f"{len(tokens)} sentences, {sum(map(len, tokens))} tokens in {len(train)} batches; {TEST} sentences to judge")


if __name__ == "__main__":
    main()
