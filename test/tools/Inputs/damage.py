# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""damage.py FILE OFFSET: flips a bit of one byte."""

import pathlib
import sys

path, offset = pathlib.Path(sys.argv[1]), int(sys.argv[2])
data = bytearray(path.read_bytes())
data[offset] ^= 0x10
path.write_bytes(data)
