// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/TrainModel.h"

#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/train/Network.h"
#include "tools/bqc/train/ScriptModel.h"

#include <fmt/format.h>

using namespace bq;
using namespace bq::cli;

Expected<std::shared_ptr<TrainModel>> cli::makeTrainModel(const TrainOptions &options, const DataSet &train) {
  const Expected<std::optional<NetworkSpec>> spec = NetworkSpec::parse(options);
  if (!spec)
    return spec.error();
  if (*spec) {
    if ((*spec)->convolutional && train.x.dim() != 4)
      return invalidArgument(fmt::format("--model {}: takes images, an example of --data {} is {}; --image says which "
                                         "image its values are",
                                         options.model, options.data, shapeText(train.x.sizes().slice(1).vec())));
    return std::shared_ptr<TrainModel>(std::make_shared<Network>(**spec, train));
  }
  if (Status status = checkReadable(options.model); !status)
    return notFound(fmt::format("--model {}; expected mlp[:SIZE,...], conv[:CHANNELS,...] or the file of a TorchScript "
                                "model",
                                status.error().message));
  return ScriptModel::open(options, train);
}
