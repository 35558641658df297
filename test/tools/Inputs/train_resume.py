# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""train_resume.py FOLDER BQC OPTION...: a run that is killed and resumed ends as one that was not, byte for byte.

It is killed at several moments, among them in the middle of an epoch and of writing a checkpoint.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

folder, command = pathlib.Path(sys.argv[1]), [sys.argv[2], "train", "--quiet", "--json"]
options = sys.argv[3:]
folder.mkdir(parents=True, exist_ok=True)


def run(*arguments):
    result = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


whole = run(*options, "-o", folder / "whole.pt", "--checkpoint", folder / "whole.ckpt")
checkpoint, out = folder / "part.ckpt", folder / "part.pt"
process = subprocess.Popen(
    [*command, *options, "-o", out, "--checkpoint", checkpoint], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
kills, seen = 0, None
while process.poll() is None:
    stamp = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    if stamp is None or stamp == seen:
        time.sleep(0.001)
        continue
    seen = stamp
    time.sleep(0.002 * kills)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kills += 1
    # The settings come from the checkpoint; what is named must agree.
    process = subprocess.Popen(
        [*command, "--resume", "-o", out, "--checkpoint", checkpoint],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
assert process.returncode == 0, process.returncode
assert kills >= 2, kills
resumed = run("--resume", "-o", folder / "again.pt", "--checkpoint", checkpoint)
for key in ("settings", "epochs", "accuracy", "packed_accuracy"):
    assert resumed[key] == whole[key], key
expected = (folder / "whole.pt").read_bytes()
assert out.read_bytes() == expected and (folder / "again.pt").read_bytes() == expected
for name in os.listdir(folder):
    assert name in {"whole.pt", "whole.ckpt", "part.pt", "part.ckpt", "again.pt"} or name.startswith(".part"), name
print("resumed to the same bytes")
