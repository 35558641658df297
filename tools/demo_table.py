# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints what tools/demo has measured, from the JSON files in its folder."""

import collections
import json
import pathlib
import sys

COMPUTES = ("i8", "i16")


def main():
    folder = pathlib.Path(sys.argv[1])

    def read(name):
        return json.loads((folder / f"{name}.json").read_text())

    doctor, quantize, exact = read("doctor"), read("quantize-i8"), read("compare-minilm-f32-minilm-i16-batch32")
    reports = {inputs: [read(f"compare-model-minilm-{compute}-{inputs}") for compute in COMPUTES]
               for inputs in ("all", "batch32", "batch1")}
    everything = reports["all"]
    found = {name: finding["text"] for name, finding in doctor["findings"].items()}

    target, _, features = found["target"].partition(":")
    newest = [name for name in features.replace("+", "").split(",") if name[6:] in ("vnni", "bf16")]
    cpu = " ".join([found["cpu"].split(",")[0] + ",", target, *newest])
    print(f"device    {cpu}, {everything[0]['threads']} threads")
    print(f"          LibTorch {found['LibTorch'].split(', ')[0]}, {found['compiler'].split(', ')[0]}, kernels for the CPU")
    print(f"cache     {found['cache'].replace(str(pathlib.Path.home()) + '/', '~/', 1)}")
    print(f"model     all-MiniLM-L6-v2, {len(quantize['layers']) + len(quantize['kept'])} tensors, "
          f"{quantize['in_weight_bytes'] / 1e6:.1f} MB of weights")
    counts = collections.Counter((layer["op"], layer["format"]) for layer in quantize["layers"])
    plan = ", ".join(f"{count} {op} -> {form}" for (op, form), count in counts.items())
    print(f"plan      {plan}, {len(quantize['kept'])} kept")
    worst = max(quantize["layers"], key=lambda layer: layer["relative_error"])
    print(f"quantize  {len(quantize['layers'])} layers in {quantize['seconds']:.1f} s; "
          f"worst {worst['name']}, {worst['sqnr_db']:.1f} dB")
    kernels = collections.Counter()
    for report in (quantize, exact, *(report for group in reports.values() for report in group)):
        kernels.update(report["kernels"])
    print(f"kernels   {kernels['compiled']} compiled in {kernels['compile_ms'] / 1e3:.2f} s, "
          f"{kernels['from_disk']} from the cache in {kernels['disk_load_ms'] / 1e3:.3f} s\n")

    print(f"{'':<22}{'fp32':>10}" + "".join(f"{'4/8 bit, sums in ' + compute:>25}" for compute in COMPUTES))

    def line(name, inputs, key, unit, scale=1):
        row = f"{name:<22}{reports[inputs][0]['a_' + key] / scale:>7.1f} {unit}"
        for report in reports[inputs]:
            ratio = report["a_" + key] / report["b_" + key]
            row += f"{report['b_' + key] / scale:>13.1f} {unit} {ratio:>7.2f}x"
        print(row)

    line("file", "all", "bytes", "MB", 1e6)
    line("weights in RAM", "all", "weight_bytes", "MB", 1e6)
    line("1 sentence", "batch1", "ms", "ms")
    line("32 sentences", "batch32", "ms", "ms")
    for name, key in (("cosine to fp32, mean", "mean_cosine"), ("cosine to fp32, least", "min_cosine"),
                      ("top-10 neighbours kept", "top10_overlap")):
        print(f"{name:<22}{1:>10}" + "".join(f"{report[key]:>25.4f}" for report in everything))
    print(f"\nCosines over {everything[0]['rows']} sentences; "
          f"sums in i16 and in f32 agree to {1 - exact['min_cosine']:.1e}.")
    print("Times are the least of interleaved runs; a ratio is that of fp32 to bq, below 1 where bq is slower.")
    print(f"Models: {folder}/minilm-*.pt   per layer: {folder}/quantize-*.txt and .json")


if __name__ == "__main__":
    main()
