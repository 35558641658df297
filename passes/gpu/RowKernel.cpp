// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/RowKernel.h"

#include <numeric>

using namespace mlir;
using namespace bq;

int64_t RowKernel::columnsPerBlock(int64_t k, int64_t group, int64_t blockUnit) {
  // A piece for each thread, or a little more where groups do not fit.
  const int64_t unit = std::lcm(blockUnit, std::max<int64_t>(group, 1));
  const int64_t wanted = threads * RowPiece::columns;
  return std::min(k, (wanted + unit - 1) / unit * unit);
}

RowKernel::RowKernel(GpuBuilder &b, int64_t k, int64_t group, int64_t unit)
    : b(b), k(k), group(group), blockColumns(columnsPerBlock(k, group, unit)) {
  static_assert(RowRound::columns == threads * RowPiece::columns);
  if (!group && blockColumns == k)
    rowsPerBlock = threads / llvm::divideCeil(k, RowPiece::columns);
}

func::FuncOp RowKernel::begin(StringRef name, TypeRange arguments) {
  return b.kernel(name, arguments, {threads, rowsPerBlock, blocksPerRow(), 1});
}

Value RowKernel::memberOfTeam() { return teamThreads() == threads ? b.thread() : b.rem(b.thread(), teamThreads()); }

Value RowKernel::firstOfBlock(int64_t perBlock) {
  return blocksPerRow() == 1 ? b.i32(0) : b.mul(b.block(gpu::Dimension::Y), perBlock);
}

void RowKernel::forEachPiece(Value rows, function_ref<void(const RowPiece &)> body) {
  const int64_t whole = k / RowPiece::columns, rest = k % RowPiece::columns, pieces = whole + (rest != 0);
  Value thread = b.thread(), row = b.block(gpu::Dimension::X);
  auto write = [&](Value number, int64_t count) { body({row, number, b.mul(number, RowPiece::columns), count}); };
  auto writeWhole = [&](Value number) { write(number, RowPiece::columns); };

  if (blockColumns > threads * RowPiece::columns) {
    const int64_t perBlock = llvm::divideCeil(blockColumns, RowPiece::columns);
    Value first = firstOfBlock(perBlock);
    Value last = b.min(b.add(first, perBlock), b.i32(whole));
    b.loop(b.add(first, thread), last, b.i32(threads), writeWhole);
    if (rest) {
      Value isLast = b.equal(thread, b.i32(whole % threads));
      if (blocksPerRow() > 1)
        isLast = b.both(isLast, b.equal(b.block(gpu::Dimension::Y), b.i32(blocksPerRow() - 1)));
      b.when(isLast, [&] { write(b.i32(whole), rest); });
    }
    return;
  }

  // One piece at most for each thread.
  Value number = b.add(firstOfBlock(threads), thread), isThere;
  if (rowsPerBlock > 1) {
    Value rowInBlock = b.div(thread, pieces);
    number = b.rem(thread, pieces);
    row = b.add(b.mul(row, rowsPerBlock), rowInBlock);
    isThere = b.both(b.lessThan(rowInBlock, b.i32(rowsPerBlock)), b.lessThan(b.wide(row), rows));
  }
  auto whenThere = [&](Value condition, function_ref<void()> then) {
    b.when(isThere ? b.both(isThere, condition) : condition, then);
  };
  if (whole)
    whenThere(b.lessThan(number, b.i32(whole)), [&] { writeWhole(number); });
  if (rest)
    whenThere(b.equal(number, b.i32(whole)), [&] { write(b.i32(whole), rest); });
}

void RowKernel::forEachRound(function_ref<void(const RowRound &)> body) {
  Value row = b.block(gpu::Dimension::X), first = firstOfBlock(blockColumns);
  Value last = b.min(b.add(first, blockColumns), b.i32(k));
  auto write = [&](Value inBlock) { body({row, b.add(first, inBlock), last}); };
  if (roundsPerBlock() == 1)
    return write(b.i32(0));
  b.loop(b.i32(0), b.i32(blockColumns), b.i32(RowRound::columns), write);
}

void RowKernel::loopOverGroups(Value begin, int64_t step, function_ref<void(const RowGroup &)> body) {
  const int64_t groups = llvm::divideCeil(k, group);
  Value row = b.block(gpu::Dimension::X), first = firstOfBlock(groupsPerBlock());
  Value count = b.min(b.i32(groupsPerBlock()), b.sub(b.i32(groups), first));
  b.loop(begin, count, b.i32(step), [&](Value inBlock) {
    Value number = b.add(first, inBlock);
    Value column = b.mul(number, group);
    body({row, number, inBlock, column, b.min(b.add(column, group), b.i32(k))});
  });
}

void RowKernel::forEachGroup(function_ref<void(const RowGroup &)> body) {
  const int64_t teams = threads / teamThreads();
  loopOverGroups(teams == 1 ? b.i32(0) : b.div(b.thread(), teamThreads()), teams, body);
}

void RowKernel::forEachGroupByThread(function_ref<void(const RowGroup &)> body) {
  loopOverGroups(b.thread(), threads, body);
}

SmallVector<Value> RowKernel::fold(const RowGroup &group, ValueRange neutral,
                                   function_ref<SmallVector<Value>(Value)> values,
                                   function_ref<Value(size_t, Value, Value)> combine) {
  SmallVector<Value> results = b.loop(b.add(group.first, memberOfTeam()), group.last, b.i32(teamThreads()), neutral,
                                      [&](Value column, ValueRange carried) {
                                        SmallVector<Value> next = values(column);
                                        for (size_t i = 0; i < next.size(); ++i)
                                          next[i] = combine(i, carried[i], next[i]);
                                        return next;
                                      });
  for (size_t i = 0; i < results.size(); ++i) {
    auto combineOne = [&](Value l, Value r) { return combine(i, l, r); };
    results[i] = teamThreads() == warpThreads ? b.reduceWarp(results[i], combineOne)
                                              : b.reduceBlock(results[i], threads, combineOne);
  }
  return results;
}

void RowKernel::once(function_ref<void()> body) { b.when(b.equal(memberOfTeam(), b.i32(0)), body); }

Value RowKernel::groupInBlock(Value column) {
  return groupsPerBlock() == 1 ? b.i32(0) : b.div(b.sub(column, firstOfBlock(blockColumns)), group);
}

Value RowKernel::columnInBlock(Value column) { return b.sub(column, firstOfBlock(blockColumns)); }
