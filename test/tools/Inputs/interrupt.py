# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""interrupt.py FOLDER BQC: Ctrl+C at many moments leaves the whole result or nothing of it.

Signals that were ignored when the program began, as nohup does, stay ignored.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import torch

folder, bqc = pathlib.Path(sys.argv[1]), sys.argv[2]
folder.mkdir(parents=True, exist_ok=True)
# Large enough for writing to take a while.
model = torch.nn.Sequential(torch.nn.Linear(2048, 2048), torch.nn.Linear(2048, 2048))
torch.jit.trace(model, torch.zeros(1, 2048)).save(folder / "model.pt")
command = [bqc, "quantize", folder / "model.pt", "-o", folder / "out.pt", "--format", "int8", "--quiet"]

begin = time.monotonic()
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
whole = time.monotonic() - begin
(folder / "out.pt").unlink()

for step in range(12):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(whole * (0.4 + 0.05 * step))
    process.send_signal(signal.SIGINT)
    code = process.wait()
    assert code in (0, -signal.SIGINT), code
    left = set(os.listdir(folder)) - {"model.pt"}
    assert left == ({"out.pt"} if code == 0 else set()) or left == {"out.pt"}, left
    if left:
        assert zipfile.ZipFile(folder / "out.pt").testzip() is None
        (folder / "out.pt").unlink()
print("12 interruptions")

handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
for step in range(12):
    own = [signal.signal(number, signal.SIG_IGN) for number in handled]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for number, handler in zip(handled, own):
        signal.signal(number, handler)
    time.sleep(whole * (0.4 + 0.05 * step))
    process.send_signal(handled[step % len(handled)])
    code = process.wait()
    assert code == 0, code
    assert set(os.listdir(folder)) == {"model.pt", "out.pt"}, os.listdir(folder)
    assert zipfile.ZipFile(folder / "out.pt").testzip() is None
    (folder / "out.pt").unlink()
print("12 signals ignored")
