// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Arguments.h"

using namespace bq;
using namespace bq::cli;

void cli::addTrainSettings(CLI::App &command, TrainOptions &options) {
  const auto choice = [&](const char *name, std::string &value, const char *meaning, std::vector<std::string> names) {
    command.add_option(name, value, meaning)->check(CLI::IsMember(names))->capture_default_str();
  };
  command.add_option("--data", options.data, "digits, a CSV file, or a .pt file of tensors x and y")
      ->capture_default_str();
  command.add_option("--label", options.label, "Label column of a CSV file, by name or number from 0; else the last");
  command.add_option("--image", options.image, "The image that an example is, such as 8x8 or 3x32x32");
  command.add_option("--test-share", options.testShare, "Share of the examples that only test")->capture_default_str();
  command
      .add_option("--model", options.model, "mlp[:SIZE,...], conv[:CHANNELS,...], or the file of a TorchScript model")
      ->capture_default_str();
  choice("--layer", options.layer, "Kind of the layers: nbit, binary, mpq or float",
         {"nbit", "binary", "mpq", "float"});
  command.add_option("--weight-bits", options.weightBits, "Of nbit and mpq layers")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  command.add_option("--activation-bits", options.activationBits, "Of nbit layers; 16: floats as they are")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  choice("--optimizer", options.optimizer, "diodemix, adamw or sgd", {"diodemix", "adamw", "sgd"});
  choice("--rounding", options.rounding, "How packed weights keep small steps: residual or stochastic",
         {"residual", "stochastic"});
  choice("--moments", options.moments, "Type of the optimizer's moments: f32, bf16 or i8", {"f32", "bf16", "i8"});
  command.add_option("--lr", options.lr, "Learning rate")->capture_default_str();
  choice("--schedule", options.schedule, "Of the learning rate: constant, cosine or step",
         {"constant", "cosine", "step"});
  command.add_option("--batch", options.batch, "Examples in a step, or a few more")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of the split, the first weights and the order")->capture_default_str();
  addThreads(command, options.threads)->capture_default_str();
}

/// How bits are learned.
static void addBitSettings(CLI::App &command, TrainOptions &options) {
  command.add_option("--quantizer", options.quantizer, "none, or diffq: learn the bits of groups of weights")
      ->check(CLI::IsMember({"none", "diffq"}))
      ->capture_default_str();
  command
      .add_option("--penalty", options.penalty,
                  "What a MB of the model adds to the loss; with --target-size what steering begins with")
      ->capture_default_str();
  command.add_option("--target-size", options.targetSize,
                     "MB of the packed state as a file, to reach by steering the penalty");
  command.add_option("--group-size", options.groupSize, "Weights that share a number of bits; 0: a whole parameter")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command.add_option("--noise", options.noise, "In place of rounding: gaussian or uniform")
      ->check(CLI::IsMember({"gaussian", "uniform"}))
      ->capture_default_str();
  command.add_option("--init-bits", options.initBits, "Bits to begin with")->capture_default_str();
  command.add_option("--bits-lr", options.bitsLr, "Learning rate of the bits")->capture_default_str();
  command.add_option("--min-size", options.minSize, "MB of floats up to which a parameter stays as it is")
      ->capture_default_str();
  command.add_option("--report", options.report, "File for a page of HTML on bits and sizes");
}

void cli::addTrain(CLI::App &app, TrainOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("train", "Train a classifier with quantized layers");
  addTrainSettings(*command, options);
  command->add_option("--epochs", options.epochs, "Passes over the data")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  addBitSettings(*command, options);
  command->add_option("-o,--out", options.out, "File for the model with packed weights, as TorchScript");
  CLI::Option *checkpoint = command->add_option("--checkpoint", options.checkpoint, "File to write after each epoch");
  command->add_flag("--resume", options.resume, "Go on from the checkpoint, with its settings")->needs(checkpoint);
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but train and write nothing");
  addOutput(*command, options.output);
  command->callback([&, command] {
    for (const CLI::Option *option : command->get_options())
      if (option->count())
        options.given.push_back(option->get_single_name());
    run = byTorch(&TorchCommands::train, options);
  });
}

void cli::addDistill(CLI::App &app, DistillOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("distill", "Train a TorchScript model's linear layers at one bit a weight");
  command->add_option("teacher", options.teacher, "TorchScript model")->required();
  command->add_option("-o,--out", options.out, "File for the model with packed signs, as TorchScript")->required();
  command->add_option("--data", options.data, "Inputs to train on: what torch.save wrote of a list of input tuples")
      ->required();
  command->add_option("--test", options.test, "Inputs, in the same form, on which the models are compared");
  addPatterns(*command, options.include, options.exclude);
  command->add_option("--compute", options.compute, "How packed layers take sums: f32, bf16, i16 or i8")
      ->capture_default_str();
  command->add_option("--loss", options.loss, "Between results: cosine, mse, or kl for logits")
      ->check(CLI::IsMember({"cosine", "mse", "kl"}))
      ->capture_default_str();
  command->add_option("--output-weight", options.outputWeight, "Of the loss between results")->capture_default_str();
  command->add_option("--hidden-weight", options.hiddenWeight, "Of the loss between the layers' outputs")
      ->capture_default_str();
  command->add_option("--calibrate", options.calibrate, "How many inputs calibrate the start; 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--lr", options.lr, "Learning rate")->capture_default_str();
  command->add_option("--epochs", options.epochs, "Passes over the data")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  CLI::Option *steps = command->add_option("--steps", options.steps, "Steps, one input tuple each, in place of epochs")
                           ->check(CLI::Range(1, 1 << 30));
  command->add_option("--minutes", options.minutes, "As many steps as fit, by the time of the first")
      ->check(CLI::PositiveNumber)
      ->excludes(steps);
  command->add_option("--seed", options.seed, "Of the order of the data")->capture_default_str();
  addThreads(*command, options.threads)->capture_default_str();
  command->add_option("--report", options.report, "File for the report, as JSON");
  CLI::Option *checkpoint = command->add_option("--checkpoint", options.checkpoint, "File from which --resume goes on");
  command->add_option("--checkpoint-steps", options.checkpointSteps, "Steps from one writing of it to the next")
      ->check(CLI::Range(1, 1 << 30))
      ->needs(checkpoint)
      ->capture_default_str();
  command->add_flag("--resume", options.resume, "Go on from the checkpoint, with the same options")->needs(checkpoint);
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but train and write nothing");
  addOutput(*command, options.output);
  command->callback([&] { run = byTorch(&TorchCommands::distill, options); });
}
