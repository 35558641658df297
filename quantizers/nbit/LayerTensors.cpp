// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/LayerTensors.h"

#include "quantizers/Tensors.h"

using namespace bq;
using namespace bq::nn;

LoadedTensors::LoadedTensors(const std::string &layer, torch::nn::Module &module,
                             torch::serialize::InputArchive &archive,
                             const std::function<bool(const std::string &key, at::IntArrayRef shape)> &otherShape) {
  auto read = [&](const auto &items, bool isBuffer) {
    for (const auto &item : items) {
      const at::Tensor &place = item.value();
      at::Tensor source;
      TORCH_CHECK(archive.try_read(item.key(), source, isBuffer), layer, ": the archive holds no '", item.key(), "'");
      bool sameKind =
          place.is_floating_point() ? source.is_floating_point() : source.scalar_type() == place.scalar_type();
      bool sameShape = source.sizes() == place.sizes() || (otherShape && otherShape(item.key(), source.sizes()));
      TORCH_CHECK(sameKind && sameShape, layer, ": expected '", item.key(), "' of type ", place.scalar_type(),
                  " and shape ", shapeText(place.sizes()), ", the archive holds ", source.scalar_type(), " ",
                  shapeText(source.sizes()));
      pairs.emplace_back(place, source);
    }
  };
  read(module.named_parameters(/*recurse=*/false), false);
  read(module.named_buffers(/*recurse=*/false), true);
}

void LoadedTensors::install() const {
  at::NoGradGuard noGrad;
  for (auto [place, source] : pairs)
    place.set_data(source.to(place.options()));
}
