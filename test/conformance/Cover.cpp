// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Cover.h"

#include <algorithm>
#include <numeric>

using namespace bq::conformance;

uint64_t Random::next() {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

namespace {

/// Which combinations of the levels of some factors have occurred.
struct Goal {
  std::vector<int> factors;
  std::vector<char> seen;
  int64_t missing = 0;

  /// Index of the combination in `row`, or -1 where a level is still open.
  int64_t index(const std::vector<int> &levels, const std::vector<int> &row) const {
    int64_t at = 0;
    for (int factor : factors) {
      if (row[factor] < 0)
        return -1;
      at = at * levels[factor] + row[factor];
    }
    return at;
  }
};

class Cover {
public:
  Cover(const std::vector<int> &levels, std::vector<std::vector<int>> groups, uint64_t seed)
      : levels(levels), ofFactor(levels.size()), random(seed) {
    const int count = static_cast<int>(levels.size());
    for (int i = 0; i < count; ++i)
      for (int j = 0; j < i; ++j)
        groups.push_back({j, i});
    for (std::vector<int> &factors : groups) {
      int64_t size = 1;
      for (int factor : factors) {
        size *= levels[factor];
        ofFactor[factor].push_back(static_cast<int>(goals.size()));
      }
      goals.push_back({std::move(factors), std::vector<char>(static_cast<size_t>(size)), size});
    }
  }

  std::vector<std::vector<int>> rows() {
    constexpr int candidates = 8;
    std::vector<std::vector<int>> rows;
    while (const Goal *goal = neediest()) {
      std::vector<int> best;
      int64_t bestGain = -1;
      for (int i = 0; i < candidates; ++i) {
        std::vector<int> row = candidate(*goal);
        int64_t gain = 0;
        for (const Goal &other : goals)
          gain += !other.seen[other.index(levels, row)];
        if (gain > bestGain) {
          bestGain = gain;
          best = std::move(row);
        }
      }
      for (Goal &other : goals) {
        char &seen = other.seen[other.index(levels, best)];
        other.missing -= !seen;
        seen = 1;
      }
      rows.push_back(std::move(best));
    }
    return rows;
  }

private:
  const Goal *neediest() const {
    const auto it = std::max_element(goals.begin(), goals.end(),
                                     [](const Goal &l, const Goal &r) { return l.missing < r.missing; });
    return it->missing ? &*it : nullptr;
  }

  /// A combination that `goal` lacks, completed factor by factor with the level that brings most that is new.
  std::vector<int> candidate(const Goal &goal) {
    std::vector<int> row(levels.size(), -1);
    int64_t at = 0;
    for (int64_t skip = random.below(goal.missing); goal.seen[at] || skip-- > 0;)
      ++at;
    for (auto factor = goal.factors.rbegin(); factor != goal.factors.rend(); ++factor) {
      row[*factor] = static_cast<int>(at % levels[*factor]);
      at /= levels[*factor];
    }
    std::vector<int> order(levels.size());
    std::iota(order.begin(), order.end(), 0);
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[random.below(static_cast<int64_t>(i))]);
    for (int factor : order)
      if (row[factor] < 0)
        row[factor] = bestLevel(row, factor);
    return row;
  }

  int bestLevel(std::vector<int> &row, int factor) {
    int best = 0, bestGain = -1;
    const int first = static_cast<int>(random.below(levels[factor]));
    for (int i = 0; i < levels[factor]; ++i) {
      const int level = (first + i) % levels[factor];
      row[factor] = level;
      int gain = 0;
      for (int goal : ofFactor[factor]) {
        const int64_t at = goals[goal].index(levels, row);
        gain += at >= 0 && !goals[goal].seen[at];
      }
      if (gain > bestGain) {
        bestGain = gain;
        best = level;
      }
    }
    return best;
  }

  const std::vector<int> &levels;
  std::vector<Goal> goals;
  std::vector<std::vector<int>> ofFactor; ///< Goals that a factor takes part in.
  Random random;
};

} // namespace

std::vector<std::vector<int>> bq::conformance::coverPairs(const std::vector<int> &levels,
                                                          std::vector<std::vector<int>> together, uint64_t seed) {
  return Cover(levels, std::move(together), seed).rows();
}
