# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a run consists of: its steps, and the kernels that they need."""

import itertools


class CheckError(Exception):
    """What went wrong, in one line."""


# Layers [N, K] of decoder models of 7 and 70 billion parameters: attention, then the wide ones.
SHAPES = [(4096, 4096), (11008, 4096), (8192, 8192)]
FORMATS = ["int8:g128", "int4:g128", "int3:g128", "int2:g128", "sign"]
ROWS = [1, 16, 64, 256, 4096]
COMPUTE = "bf16"

# As bqc bench asks for kernels: those of cuda::kernelRows(), and one to prepack each weight; from maxKernelRows of the
# operators on the product is LibTorch's, of the dequantized weight.
MAX_OWN_ROWS, MAX_EXACT_ROWS = 8, 16
MAX_KERNEL_ROWS = 256
DATA_TYPE, SCALE_TYPE = "f32", "f16"

# The other cases need no compiler: this one is about what it refuses.
CONFORMANCE = "--gtest_filter=cuda/*-cuda/Rules.ComputesThatItLacksAreUnsupported"


def benches():
    """(name of the step, arguments of bqc)."""
    for (n, k), format, m in itertools.product(SHAPES, FORMATS, ROWS):
        yield (f"bench {n}x{k} {format} m{m}",
               ["bench", "linear", "--device", "cuda", "--json", "--m", str(m), "--n", str(n), "--k", str(k),
                "--format", format, "--compute", COMPUTE])


def kernel_specs(only):
    """KernelSpec::str() of the kernels that the benches need whose names `only` finds."""
    specs = set()
    for (n, k), format, m in itertools.product(SHAPES, FORMATS, ROWS):
        if not only.search(f"bench {n}x{k} {format} m{m}"):
            continue
        if m > MAX_KERNEL_ROWS:
            specs.add(f"op=dequantize format={format} k={k} scale=f32 zero=none")
            continue
        weight = f"format={format} k={k} scale={SCALE_TYPE} zero=none"
        rows = m if m <= MAX_OWN_ROWS else MAX_EXACT_ROWS if m <= MAX_EXACT_ROWS else 0
        specs.add(f"op=prepack {weight} permuted=0")
        specs.add(f"op=linear {weight} n={n} data={DATA_TYPE} compute={COMPUTE} rows={rows} bias=0 activation=none "
                  "permuted=0 factors=0 activation_bits=0")
    return sorted(specs)
