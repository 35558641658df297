# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""upstream_state.py write|check FOLDER: states of DiffQ's form by torch.save, in both orders of bits.

`write` makes lines.pt and strided.pt; `check` reads the two files again, which another program has written since. The
model is a linear layer of 24 inputs and 16 outputs in groups of 8. Value i of its group g is level (7 i + g) modulo 2^b
of b = 2 + g modulo 13 bits, between -1 and 2; the bias is i / 16.
"""

import pathlib
import sys
import types

import torch


class DiffQuantizer:
    pass


DiffQuantizer.__module__ = "diffq.diffq"
sys.modules["diffq"] = types.ModuleType("diffq")
sys.modules["diffq.diffq"] = types.ModuleType("diffq.diffq")
sys.modules["diffq.diffq"].DiffQuantizer = DiffQuantizer

GROUPS, SIZE, LEAST = 48, 8, 2


def levels_and_bits():
    group = torch.arange(GROUPS)
    bits = LEAST + group % 13
    levels = (7 * torch.arange(SIZE) + group[:, None]) % (2 ** bits[:, None])
    return levels, bits


def width(values, bits):
    return int(values.max()).bit_length() if bits is None else bits


def pack_lines(values, bits=None):
    """int64 [lines, bits, 32]: bit k of word i of a line is value 32 k + i of its 2048."""
    values = torch.nn.functional.pad(values.flatten(), (0, -values.numel() % 2048)).view(-1, 64, 32)
    planes = [((values >> b & 1) << torch.arange(64)[:, None]).sum(1) for b in range(width(values, bits))]
    return torch.stack(planes, 1)


def pack_strided(values, bits=None):
    """int16 [bits, G]: bit k of word j is value k G + j."""
    values = torch.nn.functional.pad(values.flatten(), (0, -values.numel() % 16)).view(16, -1)
    planes = [((values >> b & 1) << torch.arange(16)[:, None]).sum(0) for b in range(width(values, bits))]
    return torch.stack(planes).to(torch.int16)


def state(strided):
    pack = pack_strided if strided else pack_lines
    levels, bits = levels_and_bits()
    packed = [pack(levels[bits == b], b) if (bits == b).any() else None for b in range(1, 15)]
    return {
        "quantized": [(packed, (-1.0, 2.0), pack(bits - LEAST))],
        "float16": [(torch.arange(16) / 16).half()],
        "others": [],
        "meta": {
            "init_kwargs": {"group_size": SIZE, "min_size": 0.0003, "float16": True, "exclude": []},
            "klass": DiffQuantizer,
            "packed": True,
            "torch_pack": strided,
        },
    }


def same(left, right):
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, (list, tuple)):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return left == right and type(left) is type(right)


def main():
    action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    for name, strided in (("lines.pt", False), ("strided.pt", True)):
        expected = state(strided)
        if action == "write":
            torch.save(expected, folder / name)
            continue
        found = torch.load(folder / name, weights_only=False)
        assert found.keys() == expected.keys(), found.keys()
        for key in ("quantized", "float16", "others"):
            assert same(found[key], expected[key]), (name, key, found[key], expected[key])
        arguments = found["meta"].pop("init_kwargs")
        expected_arguments = expected["meta"].pop("init_kwargs")
        assert found["meta"] == expected["meta"], found["meta"]
        assert all(same(arguments[key], value) for key, value in expected_arguments.items()), arguments


if __name__ == "__main__":
    main()
