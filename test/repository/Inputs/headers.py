# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the headers of the parts that must not see MLIR or LLVM: what they include, and that each compiles alone."""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
public = [root / "codegen" / name for name in ("KernelSpec.h", "Artifact.h", "Compiler.h")]
folders = [root / "dialect/core", root / "runtime", root / "quantizers"]
sources = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".h", ".cpp")]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
errors = []


def reach(path, seen):
    """Every file of the repository that `path` includes, by whatever way."""
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if re.match(r"(mlir|llvm)(-c)?/", name):
            errors.append(f"{path.relative_to(root)}: includes {name}")
        included = root / name
        if included.is_file() and included not in seen:
            seen.add(included)
            reach(included, seen)
    return seen


for path in public + sources:
    if not path.is_file():
        errors.append(f"{path.relative_to(root)}: no such file")
        continue
    for included in reach(path, set()):
        if included.suffix == ".td" or included.parent in (root / "dialect", root / "passes"):
            errors.append(f"{path.relative_to(root)}: reaches {included.relative_to(root)}")


def compile_alone(path):
    # The root is the only folder given, so that only system headers are found besides.
    command = [compiler, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++", f"-I{root}",
               "-DFMT_HEADER_ONLY", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{path.relative_to(root)}: does not compile alone\n{done.stderr}"


alone = public + [path for path in sources if path.suffix == ".h" and root / "quantizers" not in path.parents]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    errors += [error for error in pool.map(compile_alone, alone) if error]
if len(alone) < 10:
    errors.append(f"only {len(alone)} headers found below {root}")
sys.exit("\n".join(dict.fromkeys(errors)) if errors else 0)
