// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/WeightForms.h"

#include "quantizers/CodeRows.h"
#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/GpuMixed.h"

using namespace bq;

using at::Tensor;

namespace {

int64_t bytesOf(const Tensor &tensor) { return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0; }

bool hasGroupIndex(const WeightTensors &weight) { return weight.groupIndex && weight.groupIndex->defined(); }

std::shared_ptr<const PrepackedWeight> prepackHere(const char *op, const WeightTensors &weight, const Format &format,
                                                   int64_t k, const Tensor &factors = {}) {
  BorrowedWeight borrowed = borrow(weight, format, k);
  if (factors.defined())
    borrowed.view.columnFactors = factors.const_data_ptr<float>();
  return take(op, backend(op).prepack(borrowed.view, parallelFor));
}

/// Whether each row has one scale, and there are codes that mean zero.
bool canJoin(const WeightTensors &weight, const Format &format, int64_t k) {
  if (format.groupSize(k) < k || format.hasColumnScale() || format.kind == Format::Kind::Lut)
    return false;
  return !format.hasZeroPoints() ||
         (weight.zeros->scalar_type() == at::kByte && weight.zeros->le((1 << format.bits) - 1).all().item<bool>());
}

/// How many of `groups` groups with so many rows each are taken together.
int64_t groupsTogether(int64_t groups, int64_t rows) {
  constexpr int64_t wanted = 16;
  int64_t together = 1;
  for (int64_t count = 2; count * rows <= wanted && count <= groups; ++count)
    if (groups % count == 0)
      together = count;
  return together;
}

/// The code that means zero, where that does not depend on a zero point.
int64_t zeroCode(const Format &format) { return format.kind == Format::Kind::NF4 ? 7 : 0; }

/// Codes [groups, rows, taps, columns] of which `together` groups become one, [groups / together, together * rows,
/// taps, together * columns]; `fill`, which expands to the result, is what else is in it.
Tensor joined(const Tensor &codes, int64_t together, const Tensor &fill) {
  if (together == 1)
    return codes;
  const int64_t groups = codes.size(0) / together, rows = codes.size(1), taps = codes.size(2), columns = codes.size(3);
  Tensor result = fill.expand({groups, together * rows, taps, together * columns}).contiguous();
  const Tensor from = codes.reshape({groups, together, rows, taps, columns});
  for (int64_t i = 0; i < together; ++i)
    result.slice(1, i * rows, (i + 1) * rows).slice(3, i * columns, (i + 1) * columns).copy_(from.select(1, i));
  return result;
}

/// Channels of a tap that have their scales in common.
int64_t channelsOfPart(const Format &format, int64_t k, const WeightLayout &layout) {
  return std::min(format.groupSize(k), k / layout.taps);
}

/// The zero point of the parts: in the middle of the codes, so that what is taken off is small.
int64_t middleZero(const Format &format) { return int64_t(1) << (format.bits - 1); }

class Transposition {
public:
  Transposition(const char *op, const WeightTensors &weight, const Format &format, int64_t k,
                const WeightLayout &layout)
      : op(op), weight(weight), format(format), plain(format), n(weight.codes.size(0)), k(k), layout(layout),
        channels(k / layout.taps), outputs(n / layout.groups), result(std::make_shared<TransposedWeight>()) {
    plain.group = 0;
    result->layout = layout;
    result->n = n;
    result->k = k;
    result->partChannels = channelsOfPart(format, k, layout);
  }

  std::shared_ptr<const TransposedWeight> make() {
    Tensor codes = unpackedCodes(weight.codes, format.bits, k);
    if (hasGroupIndex(weight)) {
      result->columns = weight.groupIndex->argsort(/*stable=*/true, 0, false);
      codes = codes.index_select(1, result->columns);
    }
    // From [group, output, tap, channel] to [group, channel, tap, output].
    codes = codes.view({layout.groups, outputs, layout.taps, channels}).permute({0, 3, 2, 1});
    if (!format.hasColumnScale())
      makeScales();
    together = canJoin(weight, format, k) ? groupsTogether(layout.groups, channels) : 1;
    codes = joined(codes, together,
                   at::full({1}, format.hasZeroPoints() ? middleZero(format) : zeroCode(format), at::kByte));
    // Groups that are taken together are one part.
    const int64_t rows = codes.size(1), step = together > 1 ? rows : result->partChannels;
    for (int64_t group = 0; group < layout.groups; group += together)
      for (int64_t first = 0; first < rows; first += step)
        addPart(group, first, codes[group / together].slice(0, first, std::min(first + step, rows)).flatten(1));
    return result;
  }

private:
  /// Of each output, tap and part.
  void makeScales() {
    const int64_t parts = (channels + result->partChannels - 1) / result->partChannels;
    // A group of codes is a part of a tap, or some taps.
    const Tensor taps = at::arange(layout.taps, at::kLong), part = at::arange(parts, at::kLong);
    const Tensor group =
        ((taps * channels).unsqueeze(1) + part * result->partChannels).floor_divide(format.groupSize(k)).flatten();
    auto ofParts = [&](const Tensor &tensor) {
      return tensor.to(at::kFloat).index_select(1, group).view({n, layout.taps, parts});
    };
    scales = ofParts(weight.scales);
    if (format.hasZeroPoints())
      result->offset = (scales * (ofParts(*weight.zeros) - static_cast<double>(middleZero(format)))).contiguous();
  }

  /// Of the groups from `group` on that are taken together, the rows from `first` on.
  void addPart(int64_t group, int64_t first, const Tensor &codes) {
    const int64_t rows = codes.size(0), firstOutput = group * outputs, lastOutput = (group + together) * outputs;
    WeightTensors part{packedCodes(codes.contiguous(), plain.bits), {}, std::nullopt, std::nullopt};
    Tensor factors;
    if (format.hasColumnScale()) {
      // a [N] and b [K] change places; there is one tap.
      part.scales = at::cat(
          {weight.scales.slice(0, n + first, n + first + rows), weight.scales.slice(0, firstOutput, lastOutput)});
    } else {
      part.scales = at::ones({rows, 1});
      factors = scales.slice(0, firstOutput, lastOutput)
                    .select(2, together > 1 ? 0 : first / result->partChannels)
                    .t()
                    .contiguous();
    }
    if (format.hasZeroPoints())
      part.zeros = at::full({rows, 1}, middleZero(format), at::kByte);
    else if (format.kind == Format::Kind::Lut)
      part.zeros = weight.zeros;
    result->parts.push_back({prepackHere(op, part, plain, codes.size(1), factors), group, group * channels + first});
  }

  const char *op;
  const WeightTensors &weight;
  const Format &format;
  Format plain; ///< The same without groups.
  int64_t n, k;
  const WeightLayout &layout;
  int64_t channels, outputs; ///< Of a group of the convolution.
  int64_t together = 1;      ///< Groups of the convolution in a part.
  Tensor scales;             ///< float [N, taps, parts of a group]
  std::shared_ptr<TransposedWeight> result;
};

} // namespace

int64_t GroupedWeight::bytes() const {
  int64_t sum = 0;
  for (const std::shared_ptr<const PrepackedWeight> &product : products)
    sum += product->bytes();
  return sum;
}

int64_t TransposedWeight::bytes() const {
  int64_t sum = bytesOf(offset) + bytesOf(columns);
  for (const Part &part : parts)
    sum += part.weight->bytes();
  return sum;
}

/// What `prepack` makes of the groups of a weight that is not mixed, where it is.
template <typename Prepack>
static std::shared_ptr<const GroupedWeight> groupProducts(const WeightTensors &weight, const Format &format, int64_t k,
                                                          const WeightLayout &layout, Prepack prepack) {
  auto result = std::make_shared<GroupedWeight>();
  result->layout = layout;
  const int64_t n = weight.codes.size(0), outputs = n / layout.groups, channels = k / layout.taps;
  result->together = canJoin(weight, format, k) ? groupsTogether(layout.groups, outputs) : 1;
  const int64_t rows = outputs * result->together;
  Format joinedFormat = format;
  int64_t joinedColumns = k;
  Tensor codes = weight.codes;
  if (result->together > 1) {
    const Tensor fill = format.hasZeroPoints() ? weight.zeros->reshape({n / rows, rows, 1, 1})
                                               : at::full({1}, zeroCode(format), codes.options());
    joinedFormat.group = 0;
    joinedColumns = k * result->together;
    codes = unpackedCodes(codes, format.bits, k).view({layout.groups, outputs, layout.taps, channels});
    codes = packedCodes(joined(codes, result->together, fill).reshape({n, joinedColumns}), format.bits);
  }
  for (int64_t first = 0; first < n; first += rows) {
    auto slice = [&](const Tensor &tensor) { return tensor.slice(0, first, first + rows); };
    WeightTensors part{slice(codes), {}, weight.zeros, std::nullopt};
    part.scales =
        format.hasColumnScale() ? at::cat({slice(weight.scales), weight.scales.slice(0, n)}) : slice(weight.scales);
    if (format.hasZeroPoints())
      part.zeros = slice(*weight.zeros);
    result->products.push_back(prepack(part, joinedFormat, joinedColumns));
  }
  return result;
}

std::shared_ptr<const GroupedWeight> bq::makeGrouped(const char *op, const WeightTensors &given, const Format &format,
                                                     int64_t k, const WeightLayout &layout, at::Device device) {
  if (device.is_cuda())
    return gpu::makeGrouped(op, gpu::currentPlace(op, device), given, format, k, layout);
  const WeightTensors weight = given.to(device);
  auto result = std::make_shared<GroupedWeight>();
  result->layout = layout;
  if (format.isMixed()) {
    BorrowedWeight borrowed = borrow(weight, format, k);
    CanonicalWeight &part = borrowed.view;
    part.n /= layout.groups;
    // One copy for all groups, where there must be one.
    if (!part.mixed.owner) {
      auto copy = std::make_shared<Tensor>(withSlack(weight.codes.contiguous().clone()));
      part.codes = copy->const_data_ptr<uint8_t>();
      part.mixed.owner = std::move(copy);
    }
    part.mixed.taps = layout.taps;
    for (; part.mixed.firstRow < part.mixed.streamRows; part.mixed.firstRow += part.n)
      result->products.push_back(take(op, backend(op).prepack(part, parallelFor)));
    return result;
  }
  if (layout.isDirect) {
    result->together = layout.groups;
    result->isDirect = true;
    result->products.push_back(prepack(op, weight, format, k, device));
    return result;
  }
  return groupProducts(weight, format, k, layout, [&](const WeightTensors &part, const Format &of, int64_t columns) {
    return prepack(op, part, of, columns, device);
  });
}

std::shared_ptr<const GroupedWeight> gpu::makeGrouped(const char *op, const Place &place, const WeightTensors &given,
                                                      const Format &format, int64_t k, const WeightLayout &layout) {
  checkNotCapturing(op, place, "a weight as its kernels read it");
  const WeightTensors weight = given.to(place.tensors);
  if (!format.isMixed())
    return groupProducts(weight, format, k, layout, [&](const WeightTensors &part, const Format &of, int64_t columns) {
      return prepack(op, place, part, of, columns);
    });
  auto result = std::make_shared<GroupedWeight>();
  result->layout = layout;
  const GpuMixedWeight all(op, place, weight, format, k, layout);
  result->products.assign(all.products().begin(), all.products().end());
  return result;
}

bool bq::canTranspose(const Format &format, int64_t k, const WeightLayout &layout) {
  if (format.isMixed())
    return false;
  if (layout.taps == 1)
    return true;
  const int64_t channels = k / layout.taps, size = format.groupSize(k);
  return !format.hasColumnScale() && (channels % size == 0 || size % channels == 0);
}

std::shared_ptr<const TransposedWeight> bq::makeTransposed(const char *op, const WeightTensors &weight,
                                                           const Format &format, int64_t k,
                                                           const WeightLayout &layout) {
  return Transposition(op, weight, format, k, layout).make();
}
