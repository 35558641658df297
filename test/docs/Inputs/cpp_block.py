# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""cpp_block.py FILE: the only block of C++ in a page."""

import pathlib
import re
import sys

(block,) = re.findall(r"^```cpp\n(.*?)^```$", pathlib.Path(sys.argv[1]).read_text(), re.MULTILINE | re.DOTALL)
sys.stdout.write(block)
