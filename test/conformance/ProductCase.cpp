// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/ProductCase.h"

using namespace bq;
using namespace bq::conformance;

static constexpr const char *weightValueNames[] = {"", "_codes", "_scales"};

std::string ProductCase::name() const {
  const WeightShape &w = weight;
  std::string text = weightName(w.format, w.zeroType, w.scaleType) + "_" + std::string(str(compute)) + "_" +
                     std::string(str(dataType)) + "_m" + std::to_string(m) + "n" + std::to_string(w.n) + "k" +
                     std::to_string(w.k);
  text += stridedX ? "_stridedx" : "";
  text += stridedY ? "_stridedy" : "";
  text += w.permuted ? "_permuted" : "";
  return text + "_" + nameOf(x) + weightValueNames[static_cast<int>(w.values)];
}

void conformance::forEachProductCase(
    const std::vector<Compute> &computes, const std::vector<int> &own, uint64_t seed,
    const std::function<void(const ProductCase &c, const std::vector<int> &own)> &body) {
  enum { Kind, Comp, RowsClass, Rows, N, K, Group, Data, Scale, StrideX, StrideY, Permuted, X, Values, Par, Own };
  std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                             static_cast<int>(computes.size()),
                             std::size(rowClasses),
                             std::size(rowClasses[0]),
                             rowCounts.size(),
                             columnCounts.size(),
                             groupSizes.size(),
                             elementTypes.size(),
                             elementTypes.size(),
                             2,
                             2,
                             2,
                             rowValuesCount,
                             std::size(weightValueNames),
                             parallelForCount};
  levels.insert(levels.end(), own.begin(), own.end());
  size_t number = 0;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp, RowsClass}}, seed)) {
    ProductCase c;
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight = {kind.grouped(groupSizes[row[Group]]),
                rowCounts[row[N]],
                columnCounts[row[K]],
                elementTypes[row[Scale]],
                kind.zeroType,
                row[Permuted] == 1,
                static_cast<WeightValues>(row[Values])};
    c.compute = computes[row[Comp]];
    c.m = rowClasses[row[RowsClass]][row[Rows]];
    c.dataType = elementTypes[row[Data]];
    c.stridedX = row[StrideX];
    c.stridedY = row[StrideY];
    c.x = static_cast<RowValues>(row[X]);
    c.parallel = row[Par];
    c.seed = caseSeed(seed, number++);
    body(c, {row.begin() + Own, row.end()});
  }
}

const std::vector<WeightKind> &conformance::longKinds() {
  static const std::vector<WeightKind> kinds = {{{Format::Kind::UInt, 4, 128}, ZeroPointType::U8},
                                                {{Format::Kind::Int, 3, 100}},
                                                {{Format::Kind::UInt, 1, 0}, ZeroPointType::F32},
                                                {{Format::Kind::NF4, 4, 64}},
                                                {{Format::Kind::FP4, 4, 32}},
                                                {{Format::Kind::Sign, 1, 0}},
                                                {{Format::Kind::Int, 8, 0}}};
  return kinds;
}

static int64_t strideOf(bool isStrided, int64_t columns, Random &random) {
  return columns + (isStrided ? 1 + random.below(20) : 0);
}

ProductOperands::ProductOperands(const ProductCase &c, int64_t inputs, int64_t outputs, Random &random)
    : values(makeRows(c.x, c.dataType, c.m, inputs, random)),
      x(c.dataType, c.m, inputs, strideOf(c.stridedX, inputs, random)),
      y(c.dataType, c.m, outputs, strideOf(c.stridedY, outputs, random)) {
  x.set(values);
}
