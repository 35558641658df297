# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fails.py CODE COMMAND...: the command must end with this exit code, write nothing to stdout and one line to stderr.

The line goes to stdout.
"""

import subprocess
import sys

code, command = int(sys.argv[1]), sys.argv[2:]
result = subprocess.run(command, capture_output=True, text=True)
problems = []
if result.returncode != code:
    problems.append(f"exit code {result.returncode}, expected {code}")
if result.stdout:
    problems.append(f"stdout is not empty: {result.stdout}")
if result.stderr.count("\n") != 1 or not result.stderr.startswith(("bqc: error: ", "bq-golden: error: ", "gpu-check: error: ")):
    problems.append(f"stderr is not one line of error: {result.stderr}")
sys.stdout.write(result.stderr)
if problems:
    sys.exit("\n".join(problems))
