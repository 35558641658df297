# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""train_bits.py BQC PAGE OPTION...: a run that learns bits reaches its size, and its file and its kernels keep to it."""

import json
import subprocess
import sys

bqc, page, *options = sys.argv[1:]
command = [bqc, "train", "--quantizer", "diffq", "--report", page, "--json", "--quiet", *options]
result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
target, epochs = result["settings"]["target-size"], result["epochs"]
assert result["packed_accuracy"] == result["accuracy"] > 0.8, result["accuracy"]
assert result["same_class"] == result["data"]["test"]
assert 0.8 * target < result["file_mb"] <= target, result["file_mb"]
assert result["file_mb"] <= result["size_mb"] * 1.01 + 4096 / 2**20, result["file_mb"]
# Eight bits, the first of all groups, are more than the target has room for.
assert epochs[0]["size_mb"] > epochs[-1]["size_mb"] and epochs[-1]["mean_bits"] < 8
for layer in result["bits"]:
    assert len(layer["groups"]) == 16 and layer["groups"][0] == 0, layer
# Groups of one layer have come to need different bits.
assert any(sum(count > 0 for count in layer["groups"]) > 1 for layer in result["bits"])
text = open(page, encoding="utf-8").read()
assert text.count("<svg") == 1 + len(result["bits"]) and "http" not in text and "<script" not in text
print("learned: " + " ".join(layer["name"] for layer in result["bits"]))
