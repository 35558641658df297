# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""onebit_resume.py FOLDER BQC MODEL DATA OPTION...: a calibrated run that is killed and resumed writes the same bytes.

It is killed each time that its journal has grown, at several moments after.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

folder, bqc, model, data = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
command = [bqc, "quantize", model, "--format", "sign", "--calibrate", data, "--quiet", "--threads", "1", *sys.argv[5:]]
folder.mkdir(parents=True)
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

subprocess.run([*command, "-o", folder / "whole.pt"], check=True, **quiet)
out, journal = folder / "part.pt", folder / "part.pt.journal"
kills, seen = 0, 0
process = subprocess.Popen([*command, "-o", out, "--resume"], **quiet)
while process.poll() is None:
    layers = len(list(journal.glob("layer-*.safetensors"))) if journal.exists() else 0
    if layers <= seen or kills >= 4:
        time.sleep(0.001)
        continue
    time.sleep(0.004 * kills)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists() or process.returncode == 0, "a model is there before the run has ended"
    kills += process.returncode != 0
    seen = layers
    process = subprocess.Popen([*command, "-o", out, "--resume"], **quiet)
assert process.returncode == 0, process.returncode
assert kills >= 2, kills
assert out.read_bytes() == (folder / "whole.pt").read_bytes(), "other bytes"
left = sorted(name for name in os.listdir(folder) if not name.startswith(".part.pt."))
assert left == ["part.pt", "whole.pt"], left
print("resumed to the same bytes")
