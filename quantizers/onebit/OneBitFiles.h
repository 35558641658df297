// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Layers at one bit as files of named tensors.
#ifndef BQ_QUANTIZERS_ONEBIT_ONEBITFILES_H
#define BQ_QUANTIZERS_ONEBIT_ONEBITFILES_H

#include "quantizers/SafeTensors.h"
#include "quantizers/onebit/OneBitResult.h"

#include <map>
#include <string>

namespace bq::onebit {

/// By the names of layers.
using OneBitResults = std::map<std::string, OneBitResult>;

/// A safetensors file: of each layer <name>.a, .b and .sign, and where they are there .dequantized_weight and .xtx;
/// metadata hold format (bq.onebit), version, sign_order, and in `layers` the other fields as JSON. Throws c10::Error
/// and leaves `path` as it was where it cannot be written.
BQ_TORCH_API void saveResults(const std::string &path, const OneBitResults &results);
/// Throws c10::Error, one line that begins with the path, where the file is damaged, of another kind or version, or a
/// tensor is missing, left over, or does not fit.
BQ_TORCH_API OneBitResults loadResults(const std::string &path);

/// Layers as the OneBitLinear of OneCompression saves them.
struct UpstreamLayers {
  OneBitResults results;                    ///< Only a, b and sign are set.
  std::map<std::string, at::Tensor> biases; ///< [out]; of layers that have one.
};

/// Its dictionary: tensors <name>.a, .b, .sign_packed (SignBits.h), .out_features, .in_features and .bias, with names
/// model.layers.<i>.<path>. A path that ends in .safetensors becomes such a file, any other what torch.load reads.
/// Throws c10::Error where a name has another form, and for layers whose a, b and sign do not make the weight.
BQ_TORCH_API void saveUpstream(const std::string &path, const UpstreamLayers &layers);
/// Reads either kind. Throws c10::Error, one line that begins with the path, as loadResults() does.
BQ_TORCH_API UpstreamLayers loadUpstream(const std::string &path);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_ONEBITFILES_H
