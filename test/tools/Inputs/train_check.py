# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""train_check.py BQC OPTION...: a run of six epochs on the digits learns, and both paths of its evaluation agree.

Where the layers' weights got no gradient, the rest of the model alone would reach at most 55 % and lose a sixth of its
loss; with gradients of the wrong sign, 10 %. Right runs are above 95 %, of small convolutional networks above 85 %.
"""

import json
import subprocess
import sys

command = [sys.argv[1], "train", "--epochs", "6", "--json", "--quiet", *sys.argv[2:]]
result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
first, last = result["epochs"][0]["loss"], result["epochs"][-1]["loss"]
assert len(result["epochs"]) == 6 and last < first / 2, (first, last)
assert result["accuracy"] == result["epochs"][-1]["accuracy"] > 0.8, result["accuracy"]
assert result["packed_accuracy"] == result["accuracy"] and result["same_class"] == result["data"]["test"]
layers = result["layers"]
assert result["float_bytes"] == result["kept_bytes"] + sum(layer["float_bytes"] for layer in layers)
assert result["packed_bytes"] == result["kept_bytes"] + sum(layer["packed_bytes"] for layer in layers)
# The layers between the first and the last have the bits that were asked for, and little beside them.
for layer in layers[1:-1]:
    kind, elements = layer["kind"], layer["float_bytes"] / 4
    if kind != "float":
        bits = int(kind.split("-bit")[0].split()[-1])
        assert layer["packed_bytes"] < elements * (bits / 8 + 0.5), layer
print(f"learned: {result['settings']['layer']}, {layers[1]['kind']}")
