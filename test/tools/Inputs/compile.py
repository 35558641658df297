# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""compile.py CXX SOURCE_ROOT LIBRARY_FOLDER FILE PROGRAM: a program that uses libbq_torch.so, as a user would build it."""

import importlib.util
import pathlib
import subprocess
import sys

compiler, source, libraries, file, program = sys.argv[1:]
torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
subprocess.run(
    [compiler, "-std=c++17", f"-I{source}", f"-isystem{torch}/include", f"-isystem{torch}/include/torch/csrc/api/include",
     file, "-o", program, f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lbq_torch",
     f"-L{torch}/lib", f"-Wl,-rpath,{torch}/lib", "-ltorch_cpu", "-lc10", "-Wl,--allow-shlib-undefined"],
    check=True)
