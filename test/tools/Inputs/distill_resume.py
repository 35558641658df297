# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""distill_resume.py FOLDER BQC MODEL DATA: a distillation that is killed and resumed ends as one that was not, byte for
byte. It is killed each time that its checkpoint has changed, at several moments after.
"""

import json
import pathlib
import signal
import subprocess
import sys
import time

folder, bqc, model, data = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
command = [bqc, "distill", model, "--data", data, "--test", data, "--steps", "60", "--json", "--quiet"]
folder.mkdir(parents=True)


def report(name):
    result = json.loads((folder / name).read_text())
    del result["seconds"]
    return result


subprocess.run(
    [*command, "-o", folder / "whole.pt", "--report", folder / "whole.json"], check=True, stdout=subprocess.DEVNULL
)
out, checkpoint = folder / "part.pt", folder / "part.ckpt"
part = [*command, "-o", out, "--report", folder / "part.json", "--checkpoint", checkpoint, "--checkpoint-steps", "7"]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
process = subprocess.Popen(part, **quiet)
kills, seen = 0, None
while process.poll() is None:
    stamp = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    if stamp is None or stamp == seen or kills >= 4:
        time.sleep(0.001)
        continue
    seen = stamp
    time.sleep(0.004 * kills)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kills += 1
    process = subprocess.Popen([*part, "--resume"], **quiet)
assert process.returncode == 0, process.returncode
assert kills >= 2, kills
assert report("part.json") == report("whole.json"), "another report"
assert out.read_bytes() == (folder / "whole.pt").read_bytes(), "other bytes"
print("resumed to the same bytes")
