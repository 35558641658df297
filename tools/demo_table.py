# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints what tools/demo has measured, from the JSON files in its folder."""

import collections
import json
import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv[1])

    def read(name):
        return json.loads((folder / f"{name}.json").read_text())

    doctor, quantize = read("doctor"), read("quantize-i8")
    everything, batch32, batch1, exact = (read(f"compare-{name}") for name in (
        "minilm-i8-model-all", "minilm-i8-model-batch32", "minilm-i8-model-batch1", "minilm-i16-minilm-f32-batch32"))
    found = {name: finding["text"] for name, finding in doctor["findings"].items()}

    target, _, features = found["target"].partition(":")
    newest = [feature for feature in features.replace("+", "").split(",") if feature[6:] in ("vnni", "bf16")]
    print(f"device    {found['cpu'].split(', ')[0]}, {' '.join([target] + newest)}, {everything['threads']} threads")
    print(f"          LibTorch {found['LibTorch'].split(', ')[0]}, {found['compiler'].split(', ')[0]}, CPU kernels only")
    print(f"cache     {found['cache'].replace(str(pathlib.Path.home()) + '/', '~/', 1)}")
    print(f"model     all-MiniLM-L6-v2, {len(quantize['layers']) + len(quantize['kept'])} tensors, "
          f"{quantize['in_weight_bytes'] / 1e6:.1f} MB of weights")
    counts = collections.Counter((layer["op"], layer["format"]) for layer in quantize["layers"])
    plan = ", ".join(f"{count} {op} -> {form}" for (op, form), count in counts.items())
    print(f"plan      {plan}, {len(quantize['kept'])} kept; sums in i8")
    worst = max(quantize["layers"], key=lambda layer: layer["relative_error"])
    print(f"quantize  {len(quantize['layers'])} layers in {quantize['seconds']:.1f} s; "
          f"worst {worst['name']}, {worst['sqnr_db']:.1f} dB")
    kernels = collections.Counter()
    for report in (quantize, everything, batch32, batch1):
        kernels.update(report["kernels"])
    print(f"kernels   {kernels['compiled']} compiled in {kernels['compile_ms'] / 1e3:.2f} s, "
          f"{kernels['from_disk']} from the cache in {kernels['disk_load_ms'] / 1e3:.3f} s\n")

    def line(name, a, b, unit, ratio):
        print(f"{name:<24}{a:>9.1f} {unit}  {b:>9.1f} {unit}  {ratio:>7.2f}x")

    print(f"{'':<24}{'fp32':>9}     {'bq 4/8 bit':>9}")
    line("file", everything["a_bytes"] / 1e6, everything["b_bytes"] / 1e6, "MB",
         everything["a_bytes"] / everything["b_bytes"])
    line("weights in RAM", everything["a_weight_bytes"] / 1e6, everything["b_weight_bytes"] / 1e6, "MB",
         everything["a_weight_bytes"] / everything["b_weight_bytes"])
    line("1 sentence", batch1["a_ms"], batch1["b_ms"], "ms", batch1["a_ms"] / batch1["b_ms"])
    line("32 sentences", batch32["a_ms"], batch32["b_ms"], "ms", batch32["a_ms"] / batch32["b_ms"])
    print(f"{'cosine to fp32':<24}{1:>9}     mean {everything['mean_cosine']:.4f}  min {everything['min_cosine']:.4f}"
          f"  ({everything['rows']} sentences)")
    print(f"{'top-10 neighbours same':<24}{1:>9}     {everything['top10_overlap']:.3f}")
    print(f"{'sums in i16 and in f32':<24}{'':>9}     mean {exact['mean_cosine']:.7f}  min {exact['min_cosine']:.7f}"
          f"  ({exact['rows']} sentences)\n")
    print("Times are the least of interleaved runs with LibTorch's fp32; the ratio is fp32 / bq, below 1 where bq is slower.")
    print(f"Model: {folder}/minilm-i8.pt   per layer: {folder}/quantize-i8.txt and .json")


if __name__ == "__main__":
    main()
