// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/DiskCache.h"
#include "tools/bqc/Output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <ctime>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

std::string timeText(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm local{};
  localtime_r(&time, &local);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

Json toJson(const CacheEntry &entry) {
  return {{"key", entry.key},           {"name", entry.name},   {"spec", entry.spec},        {"target", entry.target},
          {"schedule", entry.schedule}, {"bytes", entry.bytes}, {"last_use", entry.lastUse}, {"damage", entry.damage}};
}

void printLine(const CacheEntry &entry) {
  fmt::print("{}  {:>9}  {}  {}\n", entry.key.substr(0, 12), sizeText(entry.bytes), timeText(entry.lastUse),
             entry.damage.empty() ? entry.name : "damaged: " + entry.damage);
}

void printJson(const Json &object) { fmt::print("{}\n", object.dump(2)); }

int list(const DiskCache &cache, bool json, bool load) {
  const Expected<std::vector<CacheEntry>> entries = load ? cache.verify() : cache.list();
  if (!entries)
    return fail(entries.error());
  size_t damaged = 0;
  Json array = Json::array();
  for (const CacheEntry &entry : *entries) {
    damaged += !entry.damage.empty();
    if (json)
      array.push_back(toJson(entry));
    else if (!load || !entry.damage.empty())
      printLine(entry);
  }
  if (json)
    printJson({{"path", cache.path()}, {"kernels", array}, {"damaged", damaged}});
  else if (load)
    fmt::print("{} kernels, {} damaged\n", entries->size(), damaged);
  return load && damaged ? Failed : Done;
}

int info(const DiskCache &cache, const std::string &key, bool json) {
  const Expected<CacheEntry> entry = cache.info(key);
  if (!entry)
    return fail(entry.error());
  if (json) {
    printJson(toJson(*entry));
    return Done;
  }
  fmt::print("key       {}\nkernel    {}\nspec      {}\ntarget    {}\nschedule  {}\nsize      {}\nlast use  {}\n",
             entry->key, entry->name, entry->spec, entry->target, entry->schedule, sizeText(entry->bytes),
             timeText(entry->lastUse));
  if (!entry->damage.empty())
    fmt::print("damage    {}\n", entry->damage);
  return Done;
}

int stats(const DiskCache &cache, const Options &options, bool json) {
  const Expected<CacheTotals> totals = cache.totals();
  if (!totals)
    return fail(totals.error());
  constexpr const char *modes[] = {"on", "read-only", "off"};
  const char *mode = modes[static_cast<int>(options.cacheMode)];
  if (json)
    printJson({{"path", cache.path()},
               {"mode", mode},
               {"kernels", totals->files},
               {"bytes", totals->bytes},
               {"limit_bytes", options.cacheSize}});
  else
    fmt::print("path     {}\nmode     {}\nkernels  {}\nsize     {} of at most {}\n", cache.path(), mode, totals->files,
               sizeText(totals->bytes), sizeText(options.cacheSize));
  return Done;
}

int reportRemoved(const Expected<CacheTotals> &removed, bool json) {
  if (!removed)
    return fail(removed.error());
  if (json)
    printJson({{"removed", removed->files}, {"removed_bytes", removed->bytes}});
  else
    fmt::print("removed {} kernels, {}\n", removed->files, sizeText(removed->bytes));
  return Done;
}

} // namespace

int cli::runCache(const CacheOptions &command) {
  const Expected<Options> options = Options::fromEnvironment();
  if (!options)
    return fail(options.error());
  DiskCache cache(*options);
  const bool json = command.output.json;
  if (cache.path().empty())
    return fail("there is no cache folder: set BQ_CACHE_DIR, XDG_CACHE_HOME or HOME");
  using Action = CacheOptions::Action;
  switch (command.action) {
  case Action::Path:
    if (json)
      printJson({{"path", cache.path()}});
    else
      fmt::print("{}\n", cache.path());
    return Done;
  case Action::List:
    return list(cache, json, false);
  case Action::Info:
    return info(cache, command.key, json);
  case Action::Stats:
    return stats(cache, *options, json);
  case Action::Verify:
    return list(cache, json, true);
  case Action::Prune: {
    const Expected<int64_t> limit = parseSize(command.maxSize);
    if (!limit)
      return failUsage("--max-size: " + limit.error().message);
    return reportRemoved(cache.prune(*limit), json);
  }
  case Action::Clear:
    return reportRemoved(cache.clear(), json);
  }
  return Failed;
}
