# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints the fenced mlir blocks of the given pages, split as -split-input-file takes them; fails where there are none."""

import re
import sys

BLOCK = re.compile(r"^```mlir\n(.*?)^```$", re.MULTILINE | re.DOTALL)

blocks = [block for path in sys.argv[1:] for block in BLOCK.findall(open(path, encoding="utf-8").read())]
print("\n// -----\n\n".join(blocks))
sys.exit(0 if blocks else f"no mlir block in {', '.join(sys.argv[1:])}")
