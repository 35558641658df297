# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced first by scripts that take no arguments: for --help the comment that they begin with, else an error.
if (($#)); then
  if [[ $1 == -h || $1 == --help ]]; then
    sed -n '3,/^[^#]/s/^# //p' "$0"
    exit
  fi
  printf "%s: error: takes no arguments, got '%s'\n" "$(basename "$0")" "$1" >&2
  exit 2
fi
