# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The lit suite: dialect, passes, code generation, tools, documentation and rules of the repository.
import json
import os
import subprocess
import sys

import lit.formats
from lit.llvm import llvm_config
from lit.llvm.subst import ToolSubst

config.name = "bq"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "unit", "conformance", "sweep", "python", "install", "golden"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.bq_obj_root, "test")
config.python_executable = sys.executable

# Kernels that a test makes are kept apart from the user's; a test that looks at the cache sets a folder of its own.
config.environment["BQ_CACHE_DIR"] = os.path.join(config.test_exec_root, "cache")

llvm_config.use_default_substitutions()
round_trip = ["--verify-roundtrip"] if os.environ.get("BQ_VERIFY_ROUNDTRIP") else []
llvm_config.add_tool_substitutions(
    [
        ToolSubst("bq-opt", extra_args=round_trip, unresolved="fatal"),
        ToolSubst("bq-lsp-server", unresolved="fatal"),
        ToolSubst("bqc", unresolved="ignore"),
        ToolSubst("bq-golden", unresolved="ignore"),
        "llvm-nm",
    ],
    [config.bq_tools_dir, config.llvm_tools_dir],
)
# From the LLVM dialect to machine code as codegen/cpu/ObjectEmitter.cpp goes: `... | %to-llvm-ir | %to-machine-code -mcpu=...`.
passes = "function(early-cse,sroa,simplifycfg,loop(loop-rotate),early-cse)"
triple = "x86_64-unknown-linux-gnu"
llvm = config.llvm_tools_dir
config.substitutions += [
    ("%to-llvm-ir", f"{llvm}/mlir-translate --mlir-to-llvmir | {llvm}/opt -S -mtriple={triple} '-passes={passes}'"),
    ("%to-machine-code", f"{llvm}/llc -mtriple={triple} -relocation-model=pic"),
    # The custom form of emitc.expression does not say that it is a statement of its own: print `-mlir-print-op-generic`.
    ("%to-cpp", f"{llvm}/mlir-translate --mlir-to-cpp --allow-unregistered-dialect"),
    ("%cxx", config.cxx),
    ("%bq_src", config.bq_source_root),
    ("%bq_obj", config.bq_obj_root),
    ("%bq_tools", config.bq_tools_dir),
    ("%bq_lib", config.bq_lib_dir),
]

# bqc and libbq_torch.so are built only with BQ_ENABLE_TORCH.
if os.path.exists(os.path.join(config.bq_tools_dir, "bqc")):
    config.available_features.add("bqc")
if os.path.exists(os.path.join(config.bq_lib_dir, "libbq_torch.so")):
    config.available_features.add("bq-torch")

# Where bqc doctor finds NVIDIA's compiler, kernels for GPUs are made to the end.
if "bqc" in config.available_features:
    doctor = subprocess.run([os.path.join(config.bq_tools_dir, "bqc"), "doctor", "--json"], capture_output=True, text=True)
    if json.loads(doctor.stdout or "{}").get("findings", {}).get("NVRTC", {}).get("state") == "found":
        config.available_features.add("nvrtc")

# The handwritten digits that tools/setup fetches; HOME is not set in tests.
user_cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
digits = os.path.join(user_cache, "bq-data", "digits.csv")
config.substitutions += [("%user_cache", user_cache), ("%digits", digits)]
if os.path.exists(digits):
    config.available_features.add("digits")

# What this machine can run.
with open("/proc/cpuinfo") as cpuinfo:
    flags = set(next((line for line in cpuinfo if line.startswith("flags")), "").split())
for flag, feature in [("avx2", "host-avx2"), ("avx512_vnni", "host-avx512vnni")]:
    if flag in flags:
        config.available_features.add(feature)
