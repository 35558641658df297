// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Options.h"

#include <gtest/gtest.h>
#include <map>

using namespace bq;

namespace {

Expected<Options> parse(const std::map<std::string, std::string> &environment) {
  return Options::parse([&](const char *name) -> const char * {
    auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

/// The message of an environment that is refused.
std::string refusal(const std::map<std::string, std::string> &environment) {
  Expected<Options> options = parse(environment);
  return options ? "" : options.error().message;
}

} // namespace

TEST(Options, DefaultsWithoutAnyVariable) {
  Expected<Options> options = parse({{"HOME", "/home/someone"}});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->cacheDir, "/home/someone/.cache/bq");
  EXPECT_EQ(options->cacheMode, Options::CacheMode::On);
  EXPECT_EQ(options->cacheSize, int64_t{1} << 30);
  EXPECT_EQ(options->cacheLockSeconds, 10);
  EXPECT_FALSE(options->verboseDispatch || options->verboseCompile || options->verboseCache);
  EXPECT_TRUE(options->compilerPath.empty());
  EXPECT_FALSE(options->cudaTarget);
  EXPECT_EQ(options->cudaDriverPath, "libcuda.so.1");
}

TEST(Options, CacheFolderComesFromTheFirstVariableThatNamesOne) {
  EXPECT_EQ(parse({{"BQ_CACHE_DIR", "/a"}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}})->cacheDir, "/a");
  EXPECT_EQ(parse({{"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}})->cacheDir, "/b/bq");
  EXPECT_EQ(parse({{"XDG_CACHE_HOME", "relative"}, {"HOME", "/c"}})->cacheDir, "/c/.cache/bq");
  EXPECT_EQ(parse({{"BQ_CACHE_DIR", ""}, {"HOME", "/c"}})->cacheDir, "/c/.cache/bq");
  std::string relative = parse({{"BQ_CACHE_DIR", "x"}})->cacheDir;
  EXPECT_EQ(relative[0], '/');
  EXPECT_EQ(relative.substr(relative.size() - 2), "/x");
}

TEST(Options, EveryVariableIsRead) {
  Expected<Options> options = parse({{"BQ_CACHE", "ro"},
                                     {"BQ_CACHE_SIZE", "64M"},
                                     {"BQ_CACHE_LOCK_SECONDS", "0.5"},
                                     {"BQ_VERBOSE", "cache,dispatch"},
                                     {"BQ_COMPILER", "/opt/libbq_compiler.so"},
                                     {"BQ_CUDA_ARCH", "sm_90a"},
                                     {"BQ_CUDA_DRIVER", "/opt/libcuda.so.1"}});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->cacheMode, Options::CacheMode::ReadOnly);
  EXPECT_EQ(options->cacheSize, 64 << 20);
  EXPECT_EQ(options->cacheLockSeconds, 0.5);
  EXPECT_TRUE(options->verboseDispatch);
  EXPECT_FALSE(options->verboseCompile);
  EXPECT_TRUE(options->verboseCache);
  EXPECT_EQ(options->compilerPath, "/opt/libbq_compiler.so");
  ASSERT_TRUE(options->cudaTarget);
  EXPECT_EQ(options->cudaTarget->str(), "sm_90a");
  EXPECT_EQ(options->cudaDriverPath, "/opt/libcuda.so.1");
  EXPECT_EQ(parse({{"BQ_CACHE", "off"}})->cacheMode, Options::CacheMode::Off);
}

TEST(Options, ErrorsNameVariableValueAndWhatIsAccepted) {
  EXPECT_EQ(refusal({{"BQ_CACHE", "maybe"}}), "BQ_CACHE is 'maybe': use on, ro or off");
  EXPECT_EQ(refusal({{"BQ_VERBOSE", "cache,all"}}),
            "BQ_VERBOSE is 'cache,all': use a comma-separated list of dispatch, compile and cache");
  for (const char *seconds : {"x", "-1", "nan", "1s", "3601", "inf"})
    EXPECT_EQ(refusal({{"BQ_CACHE_LOCK_SECONDS", seconds}}),
              "BQ_CACHE_LOCK_SECONDS is '" + std::string(seconds) + "': use a number of seconds from 0 to 3600");
  EXPECT_EQ(refusal({{"BQ_CACHE_SIZE", "1X"}}),
            "BQ_CACHE_SIZE: size '1X' is not a number of bytes: use digits with an optional suffix K, M or G, such as "
            "512M");
  EXPECT_EQ(refusal({{"BQ_CUDA_ARCH", "hopper"}}),
            "BQ_CUDA_ARCH: GPU architecture 'hopper' is not known: use one of sm_80, sm_86, sm_89, sm_90a, sm_100a, "
            "sm_120a or emu");
}

TEST(Options, Sizes) {
  EXPECT_EQ(*parseSize("0"), 0);
  EXPECT_EQ(*parseSize("1000"), 1000);
  EXPECT_EQ(*parseSize("2K"), 2048);
  EXPECT_EQ(*parseSize("3G"), int64_t{3} << 30);
  for (const char *text : {"", "K", "-1", "1 K", "1k", "1KB", "9223372036854775808", "9007199254740992K"})
    EXPECT_FALSE(parseSize(text)) << text;
}

TEST(Options, TheTableNamesEveryVariableOnce) {
  std::map<std::string, int> names;
  for (const OptionInfo &info : optionTable()) {
    ++names[info.name];
    EXPECT_NE(std::string(info.meaning), "");
    EXPECT_NE(std::string(info.defaultText), "");
  }
  for (const char *name : {"BQ_CACHE", "BQ_CACHE_DIR", "BQ_CACHE_SIZE", "BQ_CACHE_LOCK_SECONDS", "BQ_COMPILER",
                           "BQ_CPU", "BQ_CUDA_ARCH", "BQ_CUDA_DRIVER", "BQ_NVRTC", "BQ_VERBOSE"})
    EXPECT_EQ(names[name], 1) << name;
  EXPECT_EQ(names.size(), 10u);
}
