// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/FakeQuantizeArgs.h"

#include "dialect/core/KernelAbi.h"

#include <limits>
#include <string>

using namespace bq;

static Status present(const char *name, const void *pointer, const FakeQuantizeArgs &args) {
  if (pointer)
    return {};
  return invalidArgument(std::string(name) + " is null: x has " + std::to_string(args.rows) + " rows of " +
                         std::to_string(args.columns) + " columns");
}

int64_t FakeQuantizeArgs::tasksPerRow() const {
  return (columns + abi::fakeQuantizeChunk - 1) / abi::fakeQuantizeChunk;
}

Status FakeQuantizeArgs::verify() const {
  Expected<Format> parsed = Format::parse(format.str());
  if (!parsed || *parsed != format || format.isTable() || format.group)
    return invalidArgument("format '" + format.str() +
                           "' cannot be rounded to: use int2..int8, uint1..uint8 or sign, " + "without a group size");
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 64;
  if (rows < 0 || columns < 0 || (columns && rows > most / columns))
    return invalidArgument("x has " + std::to_string(rows) + " rows of " + std::to_string(columns) +
                           " columns: both are 0 or more, with at most " + std::to_string(most) + " elements");
  if (zero && format.hasColumnScale())
    return invalidArgument("zero is given, but format 'sign' has no zero points: pass null");
  if (!rows || !columns)
    return {};
  if (Status status = present("x", x, *this); !status)
    return status;
  return present("scale", scale, *this);
}

Status FakeQuantizeGradArgs::verify() const {
  if (Status status = forward.verify(); !status)
    return status;
  if (!forward.rows)
    return {};
  if (Status status = present("scaleGradient", scaleGradient, forward); !status || !forward.columns)
    return status;
  if (Status status = present("gradient", gradient, forward); !status)
    return status;
  return present("xGradient", xGradient, forward);
}
