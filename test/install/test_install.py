# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`cmake --install` gives a package that works from any prefix: the consumer here finds it, builds and runs."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["BQ_BUILD"])
CACHE = pathlib.Path(os.environ["BQ_CACHE_DIR"])
WORK = CACHE.parent
PREFIX = WORK / "prefix"
CMAKE = os.environ["BQ_CMAKE"]
PACKAGE = ["bqConfig.cmake", "bqConfigVersion.cmake", "bqTargets.cmake", "bqTorchTargets.cmake", "BQTorch.cmake"]


def run(*command, cwd=None):
    """What the command prints; its failure is the test's."""
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def configure(folder, *options):
    return run(CMAKE, "-S", SOURCE / "consumer", "-B", WORK / folder, f"-DCMAKE_PREFIX_PATH={PREFIX}", *options)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in ("moved", "prefix", "consumer", "other", "cache", "model"):
            shutil.rmtree(WORK / name, ignore_errors=True)
        # Moved after it is made: what holds on to its first place, or to the build, fails.
        run(CMAKE, "--install", BUILD, "--prefix", WORK / "moved")
        (WORK / "moved").rename(PREFIX)
        run(sys.executable, "-B", SOURCE.parent / "tools/Inputs/model.py", WORK / "model")
        configure("consumer")
        run(CMAKE, "--build", WORK / "consumer")

    def test_what_is_installed(self):
        for name in ("bqc", "bq-opt", "bq-lsp-server"):
            self.assertTrue(os.access(PREFIX / "bin" / name, os.X_OK), name)
        libraries = {path.name for path in (PREFIX / "lib").glob("*") if path.is_file()}
        names = ("bq_runtime", "bq_compiler", "bq_torch", "bqc_torch")
        self.assertEqual(libraries, {f"lib{name}.so" for name in names})
        package = {path.name for path in (PREFIX / "lib/cmake/bq").iterdir()}
        self.assertLessEqual(set(PACKAGE), package)
        self.assertEqual([path.name for path in (PREFIX / "include").iterdir()], ["bq"])

    def test_nothing_points_into_the_build(self):
        for path in [*(PREFIX / "bin").iterdir(), *(PREFIX / "lib").glob("*.so")]:
            run_path = re.search(r"R(?:UN)?PATH.*\[(.*)\]", run("readelf", "-d", path))
            self.assertNotIn(str(BUILD), run_path.group(1) if run_path else "", path.name)
            self.assertNotIn(f"{BUILD}/lib/", run("ldd", path))
        for path in (PREFIX / "lib/cmake/bq").iterdir():
            self.assertNotIn(str(BUILD), path.read_text(), path.name)

    def test_each_header_includes_only_what_is_installed(self):
        include = PREFIX / "include/bq"
        headers = [path.relative_to(include) for path in sorted(include.rglob("*.h"))]
        self.assertGreater(len(headers), 15)
        for header in headers:
            for name in re.findall(r'^#include "(.*)"', (include / header).read_text(), re.MULTILINE):
                self.assertTrue((include / name).is_file(), f"{header} includes {name}")

    def test_the_example_of_the_readme(self):
        output = run(WORK / "consumer/convert", cwd=WORK / "model")
        self.assertRegex(output, r"(?m)^up  [0-9.]+ dB$")
        self.assertRegex(output, r"(?m)^down  [0-9.]+ dB$")
        compare = (PREFIX / "bin/bqc", "compare", "model.pt", "small.pt", "--inputs", "inputs.pt")
        compared = run(*compare, cwd=WORK / "model")
        self.assertRegex(compared, r"(?m)^kernels +[1-9][0-9]* compiled")

    def test_the_example_of_training(self):
        output = run(WORK / "consumer/train", cwd=WORK / "model")
        # Far more than the 10 % of chance; the examples overlap too little for a trained model to miss many.
        self.assertGreater(int(re.fullmatch(r"(\d+) of 512 right\n", output).group(1)), 500)

    def test_the_runtime_alone(self):
        output = run(WORK / "consumer/dequantize")
        self.assertIn(f"1 compiled by {PREFIX}/lib/libbq_compiler.so", output)
        self.assertNotIn("torch", run("ldd", WORK / "consumer/dequantize"))

    def test_libtorch_of_the_caller(self):
        # As find_package(Torch) would make it, which fails where LibTorch has CUDA parts and the machine has not.
        target = WORK / "torch-target.cmake"
        target.write_text("add_library(torch SHARED IMPORTED)\n"
                          "set_target_properties(torch PROPERTIES IMPORTED_CONFIGURATIONS RELEASE\n"
                          f"  IMPORTED_LOCATION_RELEASE {os.environ['BQ_TORCH']}/lib/libtorch.so)\n")
        configure("other", "-DBQ_TORCH_DIR=/nonexistent", f"-DCMAKE_PROJECT_INCLUDE={target}")

    def test_libtorch_that_is_not_there(self):
        expected = r"LibTorch 2\.11 needed, found no headers in BQ_TORCH_DIR=/nonexistent"
        with self.assertRaisesRegex(AssertionError, expected):
            configure("other", "-DBQ_TORCH_DIR=/nonexistent", "-DCMAKE_PROJECT_INCLUDE=")


if __name__ == "__main__":
    unittest.main()
