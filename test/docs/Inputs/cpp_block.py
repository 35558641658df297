# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""cpp_block.py FILE NUMBER COUNT: one of the blocks of C++ in a page, from 1; there must be COUNT of them."""

import pathlib
import re
import sys

path, number, count = sys.argv[1:]
blocks = re.findall(r"^```cpp\n(.*?)^```$", pathlib.Path(path).read_text(), re.MULTILINE | re.DOTALL)
assert len(blocks) == int(count), f"{len(blocks)} blocks of C++"
sys.stdout.write(blocks[int(number) - 1])
