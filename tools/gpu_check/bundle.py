# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The half of gpu-check for a build machine: programs, libraries and kernels into one folder."""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from gpu_check import plan
from gpu_check.plan import CheckError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["bqc", "ConformanceTests", "GpuProbe"]
LIBRARIES = ["libbq_runtime.so", "libbq_torch.so", "libbqc_torch.so"]
MAX_BYTES = 64 << 20
# Every machine with LibTorch has these.
SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|util|gcc_s|stdc\+\+|torch.*|c10|gomp|cu.*|nv.*)\.so")


def say(text):
    print(f"gpu-check: {text}", file=sys.stderr, flush=True)


def checked(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise CheckError(f"{pathlib.Path(command[0]).name}: {words[-1]}")
    return done.stdout


def copy_programs(build, target):
    for folder, names in (("bin", PROGRAMS), ("lib", LIBRARIES)):
        (target / folder).mkdir()
        for name in names:
            if not (build / folder / name).exists():
                raise CheckError(f"{build / folder / name} is not there: build {name} first")
            shutil.copy2(build / folder / name, target / folder / name)
    # The few libraries that a machine may lack.
    for line in checked(["ldd", target / "lib/libbq_runtime.so"]).splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found and not SYSTEM.match(found[1]):
            shutil.copy2(found[2], target / "lib" / found[1])
    for name in ("gpu-check", "gpu_check"):
        source = ROOT / "tools" / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)


def environment(build, target, arch):
    """A driver that loads everything and runs nothing, so that programs ask for every kernel they need."""
    return {**os.environ, "BQ_CACHE": "on", "BQ_CACHE_DIR": str(target / "cache"), "BQ_CACHE_SIZE": "1G",
            "BQ_CUDA_ARCH": arch, "BQ_CUDA_DRIVER": str(build / "lib/libBQTestDriverFake.so"),
            "BQ_VERBOSE": "compile,cache"}


def compile_conformance(build, env):
    """The suite itself finds out which kernels it needs; its results are not looked at."""
    shards = 1 if "GTEST_TOTAL_SHARDS" in env else os.cpu_count() or 1
    runs = []
    for shard in range(shards):
        own = env if shards == 1 else {**env, "GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(shard)}
        runs.append(subprocess.Popen([build / "bin/ConformanceTests", "--gtest_brief=1", plan.CONFORMANCE],
                                     env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    missed, made = set(), set()
    for run in runs:
        text = run.communicate()[1]
        missed |= set(re.findall(r"^bq: cache: miss (\S+)", text, re.MULTILINE))
        made |= set(re.findall(r"^bq: compile: (\S+) ", text, re.MULTILINE))
    if missed - made:
        raise CheckError(f"{len(missed - made)} kernels of the conformance suite cannot be made for "
                         f"{env['BQ_CUDA_ARCH']}, such as {min(missed - made)}")
    if not made:
        raise CheckError("the conformance suite asked for no kernel")


def make_nvrtc_stamp(target, build):
    """NVRTC's build is a part of every key: a library that has that and nothing else stands for it."""
    kernel = next((target / "cache").glob("*.bqk"), None)
    found = re.search(rb"\nnvrtc ([0-9a-f]+)\n", kernel.read_bytes()) if kernel else None
    if not found:
        raise CheckError("the kernels do not say by which build of NVRTC they were made: it has no build id")
    cache = (build / "CMakeCache.txt").read_text()
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.MULTILINE)[1]
    checked([compiler, "-shared", "-nostdlib", "-x", "c", "/dev/null", f"-Wl,--build-id=0x{found[1].decode()}", "-o",
             target / "lib/nvrtc-build.so"])


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make(target, arch, programs, only):
    if target.exists() and any(target.iterdir()):
        raise CheckError(f"{target} is not empty: name a new folder")
    build = programs or ROOT / "build/release"
    if not programs:
        checked([ROOT / "tools/build", *PROGRAMS, "BQCompiler", "BQTestDriverFake"])
    target.mkdir(parents=True, exist_ok=True)
    target, build = target.resolve(), build.resolve()
    copy_programs(build, target)
    (target / "cache").mkdir(mode=0o700)
    env = environment(build, target, arch)
    is_device = arch != "emu"
    if only.search("conformance"):
        say(f"compiling the kernels of the conformance suite for {arch}")
        compile_conformance(build, env)
    if specs := plan.kernel_specs(only):
        say(f"compiling {len(specs)} kernels of the benchmarks")
        checked([build / "bin/GpuProbe", "prepare"], env={**env, "BQ_VERBOSE": ""}, input="\n".join(specs) + "\n")
    if is_device:
        checked([build / "bin/GpuProbe", "compile", arch, ROOT / "test/gpu/Probes.cu", target / "probes.cubin"])
        make_nvrtc_stamp(target, build)
    kernels = len(list((target / "cache").glob("*.bqk")))
    for path in (target / "cache").iterdir():
        if path.suffix != ".bqk":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    version = checked([build / "bin/bqc", "--version"]).strip()
    description = {"arch": arch, "version": version, "date": datetime.date.today().isoformat(), "kernels": kernels}
    (target / "bundle.json").write_text(json.dumps(description, indent=2) + "\n")
    size = size_of(target)
    if size > MAX_BYTES:
        raise CheckError(f"{target} has {size / 2**20:.1f} MiB, more than {MAX_BYTES >> 20}")
    print(f"{target}: {kernels} kernels for {arch}, {size / 2**20:.1f} MiB")
