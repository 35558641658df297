# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Counts the tests in what ctest --output-junit wrote: each case of a lit, GoogleTest or unittest suite, and others."""

import re
import sys
import xml.etree.ElementTree as xml

# How the output of a suite ends: lit's table, unittest's two lines, GoogleTest's totals. To ctest it is one test.
LIT = re.compile(r"^\s+(Passed|Passed With Retry|Expectedly Failed|Failed|Timed Out|Unresolved|Unexpectedly Passed|"
                 r"Unsupported|Skipped|Excluded)\s*:\s*(\d+)(?: \(.*\))?\s*$", re.MULTILINE)
LIT_PASSED = {"Passed", "Passed With Retry", "Expectedly Failed"}
LIT_SKIPPED = {"Unsupported", "Skipped", "Excluded"}
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED|NO TESTS RAN)(?: \((.*)\))?\s*$", re.MULTILINE)

GTEST = re.compile(r"^\[=+\] (\d+) tests? from .* ran\..*\n\[  PASSED  \] (\d+) tests?\."
                   r"(?:\n\[  SKIPPED \] (\d+) test)?", re.MULTILINE)


def count(case):
    """[passed, failed, skipped] of one ctest test."""
    status = case.get("status")
    output = case.findtext("system-out") or ""
    numbers = [0, 0, 0]
    if lit := LIT.findall(output):
        for name, number in lit:
            numbers[0 if name in LIT_PASSED else 2 if name in LIT_SKIPPED else 1] += int(number)
    elif unittest := UNITTEST.findall(output):
        for ran, _, details in unittest:
            amounts = {name.strip(): int(number) for name, number in re.findall(r"([a-z ]+)=(\d+)", details)}
            failed = amounts.get("failures", 0) + amounts.get("errors", 0) + amounts.get("unexpected successes", 0)
            skipped = amounts.get("skipped", 0)
            numbers = [numbers[0] + int(ran) - failed - skipped, numbers[1] + failed, numbers[2] + skipped]
    elif gtest := GTEST.findall(output):
        for ran, passed, skipped in gtest:
            skipped = int(skipped or 0)
            numbers = [numbers[0] + int(passed), numbers[1] + int(ran) - int(passed) - skipped, numbers[2] + skipped]
    elif status == "run":
        return [1, 0, 0]
    elif status in ("notrun", "disabled"):
        # ctest calls a test that could not be started "notrun" too, with no skip message.
        skipped = case.find("skipped")
        started = status == "disabled" or skipped is None or "SKIP" in (skipped.get("message") or "").upper()
        return [0, 0, 1] if started else [0, 1, 0]
    else:
        return [0, 1, 0]
    if status == "fail" and not numbers[1]:
        numbers[1] = 1  # it failed outside its cases
    return numbers


def main():
    try:
        cases = xml.parse(sys.argv[1]).getroot().findall("testcase")
    except (OSError, xml.ParseError) as error:
        print(f"test: error: ctest left no results: {error}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    total = [0, 0, 0]
    for case in cases:
        total = [sum(pair) for pair in zip(total, count(case))]
    passed, failed, skipped = total
    if passed + failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
