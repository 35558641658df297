# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""bits_check.py SEARCHED.json UNIFORM.json BITS: --target-bits keeps to its mean and beats one number of bits."""

import json
import math
import sys

searched, uniform = (json.load(open(path)) for path in sys.argv[1:3])
layers = searched["layers"]
bits = [int(layer["format"].removeprefix("int").split(":")[0]) for layer in layers]
weights = [math.prod(layer["shape"]) for layer in layers]
mean = sum(b * n for b, n in zip(bits, weights)) / sum(weights)
assert mean <= float(sys.argv[3]) + 1e-9, mean
assert len(set(bits)) > 1 and all(2 <= b <= 8 for b in bits), bits
assert sum(layer["bytes"] for layer in layers) <= sum(layer["bytes"] for layer in uniform["layers"])
print("bits:", *sorted(set(bits)))
