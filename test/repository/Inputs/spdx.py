# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fails with the list of source files that do not start with their SPDX line."""

import pathlib
import sys

LICENCE = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
SUFFIXES = {".h", ".cpp", ".td", ".py", ".cmake", ".mlir", ".test", ".sh", ".in", ".def"}
FOLDERS = ("dialect", "passes", "codegen", "runtime", "quantizers", "tools", "test", ".ci")

root = pathlib.Path(sys.argv[1])
missing, count = [], 0
for path in sorted([root / "CMakeLists.txt", *(path for name in FOLDERS for path in (root / name).rglob("*"))]):
    if not path.is_file() or "__pycache__" in path.parts or "golden" in path.parts:
        continue
    with open(path, "rb") as file:
        lines = file.read(400).decode("utf-8", "replace").splitlines() or [""]
    is_script = lines[0].startswith("#!")
    if path.suffix not in SUFFIXES and path.name != "CMakeLists.txt" and not is_script:
        continue
    count += 1
    if LICENCE not in lines[1 if is_script and len(lines) > 1 else 0]:
        missing.append(str(path.relative_to(root)))
if missing or count < 100:
    sys.exit("\n".join(["no SPDX line at the start:", *missing]) if missing else f"only {count} files found below {root}")
