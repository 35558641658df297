// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Gptq.h"

#include "quantizers/nbit/Packing.h"

#include <ATen/core/grad_mode.h>

using namespace bq;

namespace {

bool isScaled(const GptqWeight &weight) { return weight.zeroConvention == ZeroConvention::Scaled; }

/// Least and greatest zero point that packed words can hold.
std::pair<int64_t, int64_t> zeroRange(int64_t bits, ZeroConvention convention) {
  const int64_t offset = convention == ZeroConvention::StoredMinusOne;
  return {offset, (int64_t(1) << bits) - 1 + offset};
}

void checkIndex(const char *op, const char *what, const at::Tensor &index, const GptqWeight &weight) {
  TORCH_CHECK(at::isIntegralType(index.scalar_type(), /*includeBool=*/false), op, ": expected '", what,
              "' of an integer type, got ", index.scalar_type());
  TORCH_CHECK(index.dim() == 1 && index.size(0) == weight.inFeatures, op, ": expected '", what, "' [",
              weight.inFeatures, "], got ", shapeText(index.sizes()));
  checkDevice(op, what, index, weight.words.device());
}

/// The permutation as int64, or undefined where rows are in order. 16-bit indices count up to 65535: upstream's type
/// for them has a sign that they do not.
at::Tensor rowOrder(const GptqWeight &weight) {
  if (!weight.rowOrder.defined())
    return {};
  at::Tensor order = weight.rowOrder.to(at::kLong);
  if (weight.rowOrder.scalar_type() == at::kShort)
    order = at::bitwise_and(order, 0xffff);
  // Upstream's layers are made with zeros here, and its kernels take those for the identity.
  return order.any().item<bool>() ? order : at::Tensor();
}

/// The group of each packed row, int64 [K].
at::Tensor packedGroups(const GptqWeight &weight) {
  if (weight.groupIndex.defined())
    return weight.groupIndex.to(at::kLong);
  const int64_t groups = std::max<int64_t>(1, weight.scales.size(0));
  at::Tensor row = at::arange(weight.inFeatures, weight.words.options().dtype(at::kLong));
  return at::div(row, std::max<int64_t>(1, weight.inFeatures / groups), "floor");
}

} // namespace

void bq::checkGptq(const GptqWeight &weight) {
  constexpr const char *op = "bq::GptqWeight";
  const int64_t bits = weight.bits, k = weight.inFeatures;
  TORCH_CHECK(bits >= 1 && bits <= 8, op, ": ", bits, " bits are not supported: use 1 to 8");
  TORCH_CHECK(weight.words.defined() && weight.words.scalar_type() == at::kInt && weight.words.dim() == 2, op,
              ": expected 'words' to be a matrix of type Int");
  const int64_t wordRows = (k * bits + 31) / 32, n = weight.outFeatures();
  TORCH_CHECK(k >= 0 && weight.words.size(0) == wordRows, op, ": ", k, " inputs of ", bits, " bits take ", wordRows,
              " rows of words, got 'words' ", shapeText(weight.words.sizes()));
  TORCH_CHECK(weight.scales.defined() && at::isFloatingType(weight.scales.scalar_type()) && weight.scales.dim() == 2 &&
                  weight.scales.size(1) == n,
              op, ": expected floating 'scales' [G, ", n, "]",
              weight.scales.defined() ? ", got " + shapeText(weight.scales.sizes()) : "");
  checkDevice(op, "scales", weight.scales, weight.words.device());

  const int64_t groups = weight.scales.size(0);
  TORCH_CHECK(weight.zeros.defined(), op, ": 'zeros' are missing");
  checkDevice(op, "zeros", weight.zeros, weight.words.device());
  const int64_t zeroColumns = isScaled(weight) ? n : (n * bits + 31) / 32;
  const bool hasType =
      isScaled(weight) ? at::isFloatingType(weight.zeros.scalar_type()) : weight.zeros.scalar_type() == at::kInt;
  TORCH_CHECK(hasType, op, ": expected 'zeros' of ", isScaled(weight) ? "a floating type" : "type Int, packed",
              ", got ", weight.zeros.scalar_type());
  TORCH_CHECK(weight.zeros.sizes() == at::IntArrayRef({groups, zeroColumns}), op, ": expected 'zeros' [", groups, ", ",
              zeroColumns, "], got ", shapeText(weight.zeros.sizes()));

  if (weight.groupIndex.defined()) {
    checkIndex(op, "groupIndex", weight.groupIndex, weight);
    if (k) {
      auto [least, greatest] = at::aminmax(weight.groupIndex);
      TORCH_CHECK(least.item<int64_t>() >= 0 && greatest.item<int64_t>() < groups, op, ": 'groupIndex' holds ",
                  least.item<int64_t>() < 0 ? least.item<int64_t>() : greatest.item<int64_t>(), ", but there are ",
                  groups, " groups");
    }
  } else {
    TORCH_CHECK(groups ? k % groups == 0 : k == 0, op, ": ", k, " inputs do not make ", groups,
                " equal groups: 'groupIndex' must be given");
  }
  if (!weight.rowOrder.defined())
    return;
  checkIndex(op, "rowOrder", weight.rowOrder, weight);
  if (at::Tensor order = rowOrder(weight); order.defined())
    TORCH_CHECK(std::get<0>(order.sort()).equal(at::arange(k, order.options())), op,
                ": 'rowOrder' is not a permutation of 0 to ", k - 1);
}

at::Tensor bq::gptqIntegers(const GptqWeight &weight) {
  return unpackWords(weight.words, weight.bits, 0, weight.inFeatures);
}

at::Tensor bq::gptqZeros(const GptqWeight &weight) {
  if (isScaled(weight))
    return weight.zeros.to(weight.scales.scalar_type()) / weight.scales;
  at::Tensor stored = unpackWords(weight.zeros, weight.bits, 1, weight.outFeatures()).to(at::kFloat);
  return stored + zeroRange(weight.bits, weight.zeroConvention).first;
}

at::Tensor bq::unpackGptq(const GptqWeight &weight) {
  checkGptq(weight);
  at::NoGradGuard noGrad;
  at::Tensor group = packedGroups(weight);
  at::Tensor integers = gptqIntegers(weight).to(weight.scales.scalar_type());
  at::Tensor scale = weight.scales.index_select(0, group);
  at::Tensor matrix = isScaled(weight)
                          ? integers * scale - weight.zeros.index_select(0, group).to(scale.scalar_type())
                          : (integers - gptqZeros(weight).index_select(0, group).to(scale.scalar_type())) * scale;
  at::Tensor order = rowOrder(weight);
  return order.defined() ? at::empty_like(matrix).index_copy_(0, order, matrix) : matrix;
}

at::Tensor bq::packGptq(const at::Tensor &matrix, const GptqWeight &like, bool upstreamCompatible) {
  constexpr const char *op = "bq::packGptq";
  checkGptq(like);
  TORCH_CHECK(at::isFloatingType(matrix.scalar_type()) &&
                  matrix.sizes() == at::IntArrayRef({like.inFeatures, like.outFeatures()}),
              op, ": expected a floating matrix [", like.inFeatures, ", ", like.outFeatures(), "], got ",
              matrix.scalar_type(), " ", shapeText(matrix.sizes()));
  checkDevice(op, "matrix", matrix, like.words.device());
  TORCH_CHECK(!matrix.isnan().any().item<bool>(), op, ": the matrix ", shapeText(matrix.sizes()), " holds NaN");
  at::NoGradGuard noGrad;
  at::ScalarType type = at::promote_types(matrix.scalar_type(), like.scales.scalar_type());
  if (!upstreamCompatible)
    type = at::promote_types(type, at::kFloat);
  at::Tensor order = rowOrder(like), group = packedGroups(like);
  at::Tensor rows = (order.defined() ? matrix.detach().index_select(0, order) : matrix.detach()).to(type);
  at::Tensor scale = like.scales.index_select(0, group).to(type);
  at::Tensor zeros = isScaled(like) ? like.zeros : gptqZeros(like);
  at::Tensor zero = zeros.index_select(0, group).to(type);
  at::Tensor value = isScaled(like) ? (rows + zero) / scale : rows / scale + zero;
  const int64_t greatest = (int64_t(1) << like.bits) - 1;
  // 0 / 0 is of a scale of 0, with which every code stands for the same.
  at::Tensor integers = value.round_().clamp_(0, greatest).nan_to_num_(0).to(at::kByte);
  return packWords(integers, like.bits, 0);
}

at::Tensor bq::packGptqZeros(const at::Tensor &zeros, int64_t bits, ZeroConvention convention,
                             bool upstreamCompatible) {
  constexpr const char *op = "bq::packGptqZeros";
  TORCH_CHECK(convention != ZeroConvention::Scaled, op, ": scaled zero points are not packed");
  TORCH_CHECK(bits >= 1 && bits <= 8, op, ": ", bits, " bits are not supported: use 1 to 8");
  TORCH_CHECK(zeros.dim() == 2, op, ": expected 'zeros' [G, N], got ", shapeText(zeros.sizes()));
  at::NoGradGuard noGrad;
  auto [least, greatest] = zeroRange(bits, convention);
  if (upstreamCompatible) {
    at::Tensor stored = zeros.detach().to(at::kInt) - least;
    return packWords(at::bitwise_and(stored, (int64_t(1) << bits) - 1), bits, 1);
  }
  at::Tensor whole =
      at::isFloatingType(zeros.scalar_type()) ? zeros.detach().to(at::kDouble).round() : zeros.detach().to(at::kDouble);
  at::Tensor isOutside = at::logical_not(whole.ge(least).logical_and_(whole.le(greatest)));
  if (isOutside.any().item<bool>())
    TORCH_CHECK(false, op, ": zero point ", whole.masked_select(isOutside)[0].item<double>(), " cannot be stored in ",
                bits, " bits ", convention == ZeroConvention::StoredMinusOne ? "minus one" : "as it is", ": use ",
                least, " to ", greatest);
  return packWords((whole - least).to(at::kByte), bits, 1);
}

at::Tensor bq::gptqGroupIndex(const GptqWeight &weight) {
  at::Tensor group = packedGroups(weight).to(at::kInt);
  at::Tensor order = rowOrder(weight);
  return order.defined() ? at::empty_like(group).index_copy_(0, order, group) : group;
}
