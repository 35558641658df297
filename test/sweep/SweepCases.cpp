// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/sweep/SweepCases.h"

#include "test/conformance/Cases.h"
#include "test/conformance/Cover.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <tuple>
#include <utility>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr uint64_t seed = 20;
/// Of each architecture, where not all are compiled.
constexpr size_t sampleSize = 18;

constexpr int64_t groups[] = {0, 32, 64, 128, 20};
constexpr Compute gpuComputes[] = {Compute::F32, Compute::BF16, Compute::I8};
/// Alone, of an odd number, the most that have kernels of their own, those that share one, and any number.
constexpr int rowClasses[] = {1, 5, 8, cuda::maxExactRows, 0};
/// A layer of a large model, one that fits no tile, and one smaller than any.
constexpr std::pair<int64_t, int64_t> shapes[] = {{8192, 8192}, {1003, 1000}, {7, 40}};

std::vector<KernelSpec> linearCases() {
  enum { KindOf, GroupOf, ComputeOf, RowsOf, DataOf, ScaleOf, BiasOf, ActivationOf, PermutedOf, ShapeOf };
  const std::vector<WeightKind> &kinds = weightKinds();
  std::vector<KernelSpec> specs;
  for (const std::vector<int> &level :
       coverPairs({static_cast<int>(kinds.size()), static_cast<int>(std::size(groups)),
                   static_cast<int>(std::size(gpuComputes)), static_cast<int>(std::size(rowClasses)), 3, 3, 2,
                   static_cast<int>(activations.size()), 2, static_cast<int>(std::size(shapes))},
                  {{KindOf, ComputeOf, RowsOf}}, seed)) {
    KernelSpec spec;
    const WeightKind &kind = kinds[level[KindOf]];
    spec.format = kind.grouped(groups[level[GroupOf]]);
    spec.zeroType = kind.zeroType;
    std::tie(spec.n, spec.k) = shapes[level[ShapeOf]];
    spec.compute = gpuComputes[level[ComputeOf]];
    spec.rows = rowClasses[level[RowsOf]];
    spec.dataType = elementTypes[level[DataOf]];
    spec.scaleType = elementTypes[level[ScaleOf]];
    spec.hasBias = level[BiasOf];
    spec.activation = activations[level[ActivationOf]];
    spec.permuted = level[PermutedOf];
    specs.push_back(spec);
  }
  return specs;
}

/// Every format with both computes of gradients and every class of rows, and every pair of all other things.
std::vector<KernelSpec> gradientCases() {
  enum { KindOf, ComputeOf, RowsOf, GroupOf, DataOf, ScaleOf, PermutedOf, ShapeOf };
  const std::vector<WeightKind> &kinds = weightKinds();
  std::vector<KernelSpec> specs;
  for (const std::vector<int> &level :
       coverPairs({static_cast<int>(kinds.size()), 2, static_cast<int>(std::size(rowClasses)),
                   static_cast<int>(std::size(groups)), 3, 3, 2, static_cast<int>(std::size(shapes))},
                  {{KindOf, ComputeOf, RowsOf}}, seed + 5)) {
    KernelSpec spec;
    spec.op = KernelSpec::Op::LinearInputGradient;
    spec.format = kinds[level[KindOf]].grouped(groups[level[GroupOf]]);
    spec.zeroType = kinds[level[KindOf]].zeroType;
    spec.compute = level[ComputeOf] && spec.format.isExactInBF16() ? Compute::F32 : Compute::BF16;
    spec.rows = rowClasses[level[RowsOf]];
    spec.dataType = elementTypes[level[DataOf]];
    spec.scaleType = elementTypes[level[ScaleOf]];
    spec.permuted = level[PermutedOf];
    std::tie(spec.n, spec.k) = shapes[level[ShapeOf]];
    specs.push_back(spec);
  }
  return specs;
}

/// Patches of pixels whose channels are read at once, and of such as are read one by one.
std::vector<KernelSpec> convolutionCases() {
  std::vector<KernelSpec> specs;
  Random random(seed + 1);
  for (const WeightKind &kind : weightKinds())
    for (Compute compute : gpuComputes) {
      KernelSpec spec;
      spec.op = KernelSpec::Op::Conv2d;
      spec.format = kind.grouped(groups[random.below(std::size(groups))]);
      spec.zeroType = kind.zeroType;
      spec.kernelHeight = 1 + 2 * random.below(3);
      spec.kernelWidth = 3;
      spec.n = 200;
      spec.k = spec.kernelHeight * spec.kernelWidth * (random.below(2) ? 64 : 20);
      spec.compute = compute;
      spec.dataType = elementTypes[random.below(3)];
      spec.scaleType = elementTypes[random.below(3)];
      spec.activation = activations[random.below(activations.size())];
      spec.permuted = random.below(2);
      if (compute == Compute::I8 && !spec.format.hasColumnScale())
        spec.activationBits = static_cast<int>(random.below(9));
      specs.push_back(spec);
    }
  return specs;
}

std::vector<KernelSpec> rowCases() {
  std::vector<KernelSpec> specs;
  Random random(seed);
  using Op = KernelSpec::Op;
  for (Op op : {Op::Embedding, Op::Dequantize, Op::Quantize, Op::Prepack})
    for (const WeightKind &kind : weightKinds()) {
      KernelSpec spec;
      spec.op = op;
      spec.format = kind.grouped(groups[random.below(std::size(groups))]);
      spec.zeroType = kind.zeroType;
      spec.k = shapes[random.below(std::size(shapes))].second;
      spec.scaleType = elementTypes[random.below(3)];
      if (op == Op::Quantize)
        spec.dataType = elementTypes[random.below(3)];
      if (op == Op::Prepack)
        spec.permuted = random.below(2);
      specs.push_back(spec);
    }
  for (Op op : {Op::FakeQuantize, Op::FakeQuantizeGrad})
    for (const char *format : {"int4", "uint8", "sign"}) {
      KernelSpec spec;
      spec.op = op;
      spec.format = *Format::parse(format);
      spec.dataType = elementTypes[random.below(3)];
      if (spec.format.hasZeroPoints())
        spec.zeroType = ZeroPointType::F32;
      specs.push_back(spec);
    }
  return specs;
}

/// Every format that steps are taken on with every rounding and scaling, and every pair of all other things; and
/// weights of floats.
std::vector<KernelSpec> updateCases() {
  enum { KindOf, RoundingOf, ScalingOf, MomentsOf, GroupOf, DataOf, ScaleOf, ColumnsOf };
  constexpr MomentType momentTypes[] = {MomentType::F32, MomentType::F16, MomentType::BF16, MomentType::Block8,
                                        MomentType::None};
  constexpr int64_t columns[] = {8192, 1000, 40, 40000};
  std::vector<KernelSpec> specs;
  auto add = [&](KernelSpec spec, MomentType moments, bool isSign) {
    spec.moments = moments;
    spec.rule = isSign                        ? UpdateRule::SignMomentum
                : moments == MomentType::None ? UpdateRule::Direction
                                              : UpdateRule::Adam;
    specs.push_back(spec);
  };
  std::vector<WeightKind> kinds;
  for (const WeightKind &kind : weightKinds())
    if (!kind.format.isTable())
      kinds.push_back(kind);
  for (const std::vector<int> &level :
       coverPairs({static_cast<int>(kinds.size()), 3, 3, static_cast<int>(std::size(momentTypes)),
                   static_cast<int>(std::size(groups)), 3, 3, static_cast<int>(std::size(columns))},
                  {{KindOf, RoundingOf, ScalingOf}}, seed + 2)) {
    KernelSpec spec;
    spec.op = KernelSpec::Op::Update;
    spec.format = kinds[level[KindOf]].grouped(groups[level[GroupOf]]);
    spec.zeroType = kinds[level[KindOf]].zeroType;
    spec.k = columns[level[ColumnsOf]];
    spec.dataType = elementTypes[level[DataOf]];
    const bool isSign = spec.format.kind == Format::Kind::Sign;
    if (!isSign) {
      spec.scaleType = elementTypes[level[ScaleOf]];
      spec.rounding = static_cast<Rounding>(level[RoundingOf]);
      spec.scaling = static_cast<ScaleUpdate>(level[ScalingOf]);
      if (spec.scaling == ScaleUpdate::Tensor)
        spec.format.group = 0;
    }
    add(spec, momentTypes[level[MomentsOf]], isSign);
  }
  for (MomentType moments : momentTypes)
    for (ElementType type : elementTypes) {
      KernelSpec spec;
      spec.op = KernelSpec::Op::UpdateDense;
      spec.weightType = type;
      spec.dataType = type;
      add(spec, moments, /*isSign=*/false);
    }
  return specs;
}

/// DiffQ: both kinds of noise, and groups that are parts of chunks, chunks, more than those, and neither; mixed codes.
std::vector<KernelSpec> diffqCases() {
  constexpr int64_t sizes[] = {0, 1, 8, 20, 32, 1024, 1500};
  using Op = KernelSpec::Op;
  std::vector<KernelSpec> specs;
  for (const std::vector<int> &level : coverPairs({2, static_cast<int>(std::size(sizes)), 2, 2, 3}, {}, seed + 3)) {
    KernelSpec spec;
    spec.op = level[0] ? Op::DiffqNoiseGrad : Op::DiffqNoise;
    spec.groupSize = sizes[level[1]];
    spec.noise = static_cast<NoiseKind>(level[2]);
    spec.rounds = level[3] ? 10 : 7;
    spec.dataType = elementTypes[level[4]];
    specs.push_back(spec);
  }
  for (ElementType type : elementTypes) {
    KernelSpec spec;
    spec.op = Op::WeightRange;
    spec.dataType = type;
    specs.push_back(spec);
  }
  for (const char *format : {"mixed", "mixed:g8", "mixed:g20"})
    for (Op op : {Op::Quantize, Op::Dequantize}) {
      KernelSpec spec;
      spec.op = op;
      spec.format = *Format::parse(format);
      spec.k = 1;
      if (op == Op::Quantize)
        spec.dataType = elementTypes[specs.size() % 3];
      specs.push_back(spec);
    }
  return specs;
}

/// Layers of mixed weights: groups that are whole eights, and others.
std::vector<KernelSpec> mixedCases() {
  constexpr int64_t sizes[] = {8, 64, 20, 0};
  std::vector<KernelSpec> specs;
  for (const std::vector<int> &level :
       coverPairs({static_cast<int>(std::size(sizes)), static_cast<int>(std::size(gpuComputes)),
                   static_cast<int>(std::size(rowClasses)), 3, 2, static_cast<int>(activations.size()), 2,
                   static_cast<int>(std::size(shapes))},
                  {}, seed + 4)) {
    KernelSpec spec;
    spec.format = {Format::Kind::Mixed, 15, sizes[level[0]]};
    spec.compute = gpuComputes[level[1]];
    spec.rows = rowClasses[level[2]];
    spec.dataType = elementTypes[level[3]];
    spec.hasBias = level[4];
    spec.activation = activations[level[5]];
    spec.permuted = level[6];
    std::tie(spec.n, spec.k) = shapes[level[7]];
    specs.push_back(spec);
  }
  for (int64_t size : sizes)
    for (Compute compute : gpuComputes) {
      KernelSpec spec;
      spec.op = KernelSpec::Op::Conv2d;
      spec.format = {Format::Kind::Mixed, 15, size};
      spec.kernelHeight = spec.kernelWidth = 3;
      spec.n = 200;
      spec.k = 9 * (size ? 64 : 20);
      spec.compute = compute;
      spec.dataType = elementTypes[specs.size() % 3];
      spec.permuted = true;
      specs.push_back(spec);
    }
  return specs;
}

} // namespace

std::vector<KernelSpec> sweep::allCases() {
  std::vector<KernelSpec> specs = linearCases();
  for (const std::vector<KernelSpec> &others :
       {gradientCases(), convolutionCases(), rowCases(), updateCases(), diffqCases(), mixedCases()})
    specs.insert(specs.end(), others.begin(), others.end());
  // What cannot be, such as quantizing to a table that only the caller knows.
  specs.erase(std::remove_if(specs.begin(), specs.end(), [](const KernelSpec &spec) { return !spec.verify(); }),
              specs.end());
  return specs;
}

std::vector<KernelSpec> sweep::casesFor(size_t index, size_t count) {
  std::vector<KernelSpec> all = allCases();
  const char *full = std::getenv("BQ_FULL_TESTS");
  if (full && std::string_view(full) == "1")
    return all;
  std::vector<KernelSpec> sample;
  for (size_t i = 0; i < sampleSize; ++i)
    sample.push_back(all[(i * count + index) * all.size() / (sampleSize * count)]);
  return sample;
}
