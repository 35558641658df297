# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""flip_byte.py FOLDER: changes one byte in the middle of every kernel."""

import pathlib
import sys

for path in pathlib.Path(sys.argv[1]).rglob("*.bqk"):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
