# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The half of gpu-check for a machine with a GPU: the steps, one after another, each with its log."""

import datetime
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from gpu_check import plan, report
from gpu_check.plan import CheckError

# One step must not take the others' time.
STEP_SECONDS = 540


def torch_libraries():
    """Folder of LibTorch's libraries, by this machine's Python; empty where there is none."""
    spec = importlib.util.find_spec("torch")
    return os.path.join(os.path.dirname(spec.origin), "lib") if spec and spec.origin else ""


class Machine:
    """The bundle's programs with the bundle's kernels."""

    def __init__(self, bundle, arch, cache):
        self.bundle = bundle
        folders = [torch_libraries(), str(bundle / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
        self.env = {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, folders)), "BQ_CACHE": "ro",
                    "BQ_CACHE_DIR": str(cache), "BQ_CUDA_ARCH": arch}
        self.env.pop("BQ_COMPILER", None)
        if (bundle / "lib/nvrtc-build.so").exists():
            self.env["BQ_NVRTC"] = str(bundle / "lib/nvrtc-build.so")

    def run(self, program, *arguments, through=(), without=()):
        """Exit code, stdout and stderr; some variables of the environment may be left out."""
        command = [*through, self.bundle / "bin" / program, *arguments]
        env = {name: value for name, value in self.env.items() if name not in without}
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=STEP_SECONDS)
        except subprocess.TimeoutExpired as error:
            texts = [(text or b"").decode(errors="replace") for text in (error.stdout, error.stderr)]
            return 124, texts[0], texts[1] + f"\nstopped after {STEP_SECONDS} seconds"
        return done.returncode, done.stdout, done.stderr


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def parsed(code, out, err):
    """A step whose result is a JSON object on stdout."""
    try:
        return {"ok": code == 0, "data": json.loads(out)} if code == 0 else {"ok": False, "text": last_line(err)}
    except json.JSONDecodeError:
        return {"ok": False, "text": "no JSON on stdout"}


def suite(code, out, err):
    """A step that runs the conformance suite."""
    ran = re.search(r"^\[==========\] (\d+) tests? from .* ran\.", out, re.MULTILINE)
    if not ran:
        return {"ok": False, "text": last_line(err) or f"ended with exit code {code}"}
    passed = int(re.search(r"^\[  PASSED  \] (\d+) test", out, re.MULTILINE)[1])
    failed = len(set(re.findall(r"^\[  FAILED  \] (\S+)", out, re.MULTILINE)))
    text = f"{passed} passed, {failed} failed"
    if skipped := int(ran[1]) - passed - failed:
        text += f", {skipped} skipped"
    if errors := re.search(r"(?:ERROR SUMMARY: |RACECHECK SUMMARY: )(\d+)", out + err):
        text += f", {errors[1]} errors found by the sanitizer"
    return {"ok": code == 0 and passed > 0, "text": text}


def steps(machine, bundle):
    """(name, function that does it)."""
    def doctor():
        code, out, err = machine.run("bqc", "doctor", "--json", without=["BQ_NVRTC"])
        # There is no compiler there, which a doctor must find wrong.
        return (code, out, err), parsed(0 if out else code, out, err)

    def conformance(through=()):
        done = machine.run("ConformanceTests", "--gtest_brief=1", plan.CONFORMANCE, through=through)
        return done, suite(*done)

    def as_json(program, *arguments):
        done = machine.run(program, *arguments)
        result = parsed(*done)
        # What LibTorch does in place of a kernel is not to be taken for the kernel's time.
        if replaced := re.search(r"warning: (kernel \S+ is replaced .*)", done[2]):
            result = {"ok": False, "text": replaced[1]}
        return done, result

    yield "doctor", doctor
    yield "conformance", conformance
    sanitizer = shutil.which("compute-sanitizer", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
    if sanitizer:
        # Calls of the driver that fail are looked at by the program itself.
        for tool, options in (("memcheck", ["--report-api-errors", "no"]), ("racecheck", [])):
            yield tool, lambda tool=tool, options=options: conformance(
                (sanitizer, "--tool", tool, "--error-exitcode", "9", *options))
    if (bundle / "probes.cubin").exists():
        yield "measure", lambda: as_json("GpuProbe", "measure", bundle / "probes.cubin")
    for name, arguments in plan.benches():
        yield name, lambda arguments=arguments: as_json("bqc", *arguments)


def find_device(machine, arch):
    code, out, err = machine.run("GpuProbe", "device")
    if code != 0:
        raise CheckError(re.sub(r"^GpuProbe: error: ", "", last_line(err)))
    device = json.loads(out)
    if arch not in ("emu", device["capability"]):
        raise CheckError(f"the kernels of this bundle are for {arch}, and device 0 ({device['device']}) has "
                         f"{device['capability']}: make a bundle with --arch {device['capability']}")
    return device


def nvidia_driver():
    """The driver's own version, by nvidia-smi; empty where that is not there."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


def run(bundle, out, only):
    bundle = bundle.resolve()
    try:
        about = json.loads((bundle / "bundle.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckError(f"{bundle} is not a bundle that --bundle has made: {error}") from error
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as temporary:
        # The runtime takes kernels only from a folder that this user alone can write.
        cache = pathlib.Path(temporary) / "cache"
        shutil.copytree(bundle / "cache", cache)
        cache.chmod(0o700)
        for path in cache.iterdir():
            path.chmod(0o600)
        machine = Machine(bundle, about["arch"], cache)
        device = find_device(machine, about["arch"])
        return run_steps(machine, bundle, out, only, {"bundle": about, "device": device, "driver": nvidia_driver()})


def run_steps(machine, bundle, out, only, about):
    out.mkdir(parents=True, exist_ok=True)
    results = {**about, "steps": {}}
    path = out / "results.json"
    if path.exists():
        before = json.loads(path.read_text())
        if all(before.get(key) == results[key] for key in about):
            results["steps"] = before["steps"]
    failed = []
    for name, do in steps(machine, bundle):
        if not only.search(name):
            continue
        print(f"gpu-check: {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        (code, stdout, stderr), result = do()
        result["date"] = datetime.date.today().isoformat()
        result["seconds"] = round(time.monotonic() - start, 1)
        results["steps"][name] = result
        (out / (re.sub(r"[^A-Za-z0-9.-]+", "_", name) + ".log")).write_text(
            f"{stdout}\n{stderr}\nexit code {code}\n")
        path.write_text(json.dumps(results, indent=2) + "\n")
        (out / "results.md").write_text(report.markdown(results))
        if not result["ok"]:
            failed.append(f"{name} ({result.get('text', '')})" if result.get("text") else name)
    if failed:
        raise CheckError(f"{len(failed)} steps failed: {'; '.join(failed)}")
    print(f"results are in {out / 'results.md'} and {path}")
    return 0
