// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Balance.h"
#include "quantizers/onebit/RankOne.h"
#include "quantizers/onebit/UpstreamBalance.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchCommands.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>

using namespace bq;
using namespace bq::cli;
using namespace bq::onebit;

using at::Tensor;
using Json = nlohmann::ordered_json;

namespace {

/// Steps of power iteration on either side of the rank-one contest.
constexpr int64_t powerSteps = 30;

/// The factors of a OneBit form and its signs, so that no side leaves work out.
struct Form {
  Tensor a, b, sign;
};

/// By kernels, each iteration one read of the weight.
Form decomposeFused(const Tensor &weight, const BalanceOptions &options) {
  const Balance balanced = balance(weight, options);
  const RankOne triple = leadingTriple(weight, balanced.rows, balanced.columns);
  const double root = std::sqrt(triple.sigma);
  return {triple.left * root / balanced.rows, triple.right * root / balanced.columns, weight >= 0};
}

/// The same steps, an operator of LibTorch for each.
Form decomposeEager(const Tensor &weight, const BalanceOptions &options) {
  const Balance balanced = balanceAsUpstream(weight, options);
  const Tensor scaled = balanced.apply(weight);
  const RankOne triple = powerIteration(scaled.abs(), at::ones({weight.size(1)}), powerSteps);
  const double root = std::sqrt(triple.sigma);
  return {triple.left * root / balanced.rows, triple.right * root / balanced.columns, weight >= 0};
}

struct Contest {
  const char *name;
  std::function<void()> fused, eager;
  Samples fusedMs{}, eagerMs{};

  Json json() const {
    return {{"name", name},
            {"bq_ms", fusedMs.minimum()},
            {"bq_median_ms", fusedMs.median()},
            {"eager_ms", eagerMs.minimum()},
            {"eager_median_ms", eagerMs.median()},
            {"ratio", eagerMs.minimum() / fusedMs.minimum()}};
  }
};

double timed(const std::function<void()> &run) {
  const double start = now();
  run();
  return (now() - start) * 1e3;
}

Json measure(int64_t n, int64_t k) {
  at::manual_seed(0);
  // Rows and columns of different sizes, so that balancing has something to do.
  const Tensor weight = at::randn({n, k}) * (at::randn({n, 1}) / 2).exp() * (at::randn({k}) / 2).exp();
  BalanceOptions options;
  options.iterations = 40;
  const size_t iterations = balance(weight, options).rowResiduals.size();
  // Both sides of the contest of balancing do as many.
  BalanceOptions fixed = options;
  fixed.iterations = static_cast<int64_t>(iterations);
  fixed.stopWindow = fixed.iterations + 1;
  Contest contests[] = {{"balancing", [&] { balance(weight, fixed); }, [&] { balanceAsUpstream(weight, fixed); }},
                        {"balancing, rank one, signs", [&] { decomposeFused(weight, options); },
                         [&] { decomposeEager(weight, options); }}};
  constexpr int rounds = 5;
  for (int round = -1; round < rounds; ++round)
    for (Contest &contest : contests) {
      const double fused = timed(contest.fused), eager = timed(contest.eager);
      if (round < 0)
        continue;
      contest.fusedMs.add(fused);
      contest.eagerMs.add(eager);
    }
  Json json{{"op", "onebit"},
            {"n", n},
            {"k", k},
            {"threads", at::get_num_threads()},
            {"iterations", iterations},
            {"rounds", rounds},
            {"contests", Json::array()}};
  for (const Contest &contest : contests)
    json["contests"].push_back(contest.json());
  return json;
}

void printText(const Json &json) {
  fmt::print("[{}, {}], {} threads, {} iterations of balancing, least and median of {} rounds\n\n",
             json["n"].get<int64_t>(), json["k"].get<int64_t>(), json["threads"].get<int>(),
             json["iterations"].get<int64_t>(), json["rounds"].get<int>());
  fmt::print("{:<28}{:>10}{:>10}{:>12}{:>10}{:>9}\n", "", "bq ms", "median", "eager ms", "median", "ratio");
  for (const Json &contest : json["contests"])
    fmt::print("{:<28}{:>10.1f}{:>10.1f}{:>12.1f}{:>10.1f}{:>8.2f}x\n", contest["name"].get<std::string>(),
               contest["bq_ms"].get<double>(), contest["bq_median_ms"].get<double>(), contest["eager_ms"].get<double>(),
               contest["eager_median_ms"].get<double>(), contest["ratio"].get<double>());
}

} // namespace

int cli::runBenchOneBit(const BenchOneBitOptions &command) {
  if (command.threads)
    at::set_num_threads(command.threads);
  at::NoGradGuard noGrad;
  const Json json = measure(command.n, command.k);
  return printResult(command.output, json, printText);
}
