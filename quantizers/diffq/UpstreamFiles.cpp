// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UpstreamFiles.h"

#include "quantizers/PickleFile.h"

#include <c10/util/irange.h>

#include <cmath>

using namespace bq;
using namespace bq::diffq;

using at::IValue;
using at::Tensor;

namespace {

constexpr const char *className = "diffq.diffq.DiffQuantizer";
constexpr const char *expected = "a state of DiffQ";
/// Upstream's lists have an entry for each number of bits up to this.
constexpr size_t mostBits = 14;
constexpr int64_t defaultGroupSize = 1, defaultMinBits = 2;

using Dictionary = c10::Dict<IValue, IValue>;

Dictionary dictionary() { return c10::impl::GenericDict(c10::StringType::get(), c10::AnyType::get()); }

c10::impl::GenericList list() { return c10::impl::GenericList(c10::AnyType::get()); }

/// Upstream takes bits as integers only.
int64_t integerBits(const std::string &path, const char *option, double bits) {
  TORCH_CHECK(bits == std::floor(bits), path, ": ", option, " is ", bits, ", DiffQ's packed states need an integer");
  return static_cast<int64_t>(bits);
}

Dictionary arguments(const std::string &path, const DiffQuantizerOptions &options) {
  Dictionary result = dictionary();
  result.insert("min_size", options.min_size());
  result.insert("float16", options.float16());
  result.insert("group_size", options.group_size());
  result.insert("min_bits", integerBits(path, "min_bits", options.min_bits()));
  result.insert("max_bits", integerBits(path, "max_bits", options.max_bits()));
  result.insert("param", options.param());
  result.insert("noise", options.noise());
  result.insert("init_bits", options.init_bits());
  result.insert("extra_bits", options.extra_bits());
  result.insert("suffix", options.suffix());
  auto patterns = list();
  for (const std::string &pattern : options.exclude())
    patterns.push_back(pattern);
  result.insert("exclude", patterns);
  result.insert("detect_bound", options.detect_bound());
  return result;
}

IValue packedEntry(const std::string &path, const std::string &name, const MixedWeight &weight, int64_t minBits,
                   PlaneOrder order) {
  const int64_t count = c10::multiply_integers(weight.shape);
  TORCH_CHECK(weight.groupSize > 0 && count % weight.groupSize == 0, path, ": '", name, "' has ", count,
              " weights in groups of ", weight.groupSize,
              ": DiffQ restores packed states of groups that divide the parameter only");
  const UpstreamWeight planes = toUpstream(weight, minBits, order);
  TORCH_CHECK(!planes.levels[mostBits].defined(), path, ": '", name,
              "' has groups of 15 bits, which DiffQ does not save: expected max_bits of 14 or less");
  auto levels = list();
  for (const size_t index : c10::irange(mostBits))
    levels.push_back(planes.levels[index].defined() ? IValue(planes.levels[index]) : IValue());
  return c10::ivalue::Tuple::create({levels, c10::ivalue::Tuple::create({planes.min, planes.max}), planes.bits});
}

c10::impl::GenericList tensorsOf(const QuantizedState &state, const std::vector<std::string> &names) {
  auto result = list();
  for (const std::string &name : names)
    result.push_back(state.tensors.at(name));
  return result;
}

/// A state that has been read, with errors that say where something is not as upstream writes it.
class Reader {
public:
  explicit Reader(const std::string &path) : path(path) {}

  void check(bool holds, const std::string &what) const { TORCH_CHECK(holds, path, ": is no state of DiffQ: ", what); }
  Dictionary dictionaryOf(const IValue &value, const std::string &what) const {
    check(value.isGenericDict(), what + " is " + value.tagKind() + ", expected a dictionary");
    return value.toGenericDict();
  }
  IValue at(const Dictionary &from, const char *key) const {
    check(from.contains(key), std::string("'") + key + "' is missing");
    return from.at(key);
  }
  bool boolOf(const IValue &value, const std::string &what) const {
    check(value.isBool(), what + " is " + value.tagKind() + ", expected True or False");
    return value.toBool();
  }
  int64_t integerOf(const Dictionary &from, const char *key, int64_t otherwise) const {
    if (!from.contains(key))
      return otherwise;
    const IValue value = from.at(key);
    check(value.isInt() || (value.isDouble() && value.toDouble() == std::floor(value.toDouble())),
          std::string("'") + key + "' is no integer");
    return value.isInt() ? value.toInt() : static_cast<int64_t>(value.toDouble());
  }
  std::vector<IValue> items(const IValue &value, const std::string &what) const {
    check(value.isList() || value.isTuple(), what + " is " + value.tagKind() + ", expected a list");
    return value.isTuple()
               ? std::vector<IValue>(value.toTupleRef().elements().begin(), value.toTupleRef().elements().end())
               : value.toListRef().vec();
  }
  /// One for each parameter of this kind of the model.
  std::vector<IValue> items(const Dictionary &from, const char *key, size_t count) const {
    std::vector<IValue> result = items(at(from, key), std::string("'") + key + "'");
    TORCH_CHECK(result.size() == count, path, ": '", key, "' has ", result.size(), " entries, this model has ", count,
                " such parameters: the state is of another model, or was made with other options");
    return result;
  }
  Tensor tensorOf(const IValue &value, const std::string &what) const {
    check(value.isTensor(), what + " is " + value.tagKind() + ", expected a tensor");
    return value.toTensor().detach();
  }
  double numberOf(const IValue &value, const std::string &what) const {
    check(value.isDouble() || value.isInt(), what + " is " + value.tagKind() + ", expected a number");
    return value.toScalar().toDouble();
  }

private:
  const std::string &path;
};

/// How a state's quantized entries are written.
struct Form {
  bool packed = true;
  PlaneOrder order = PlaneOrder::Lines;
  int64_t minBits = defaultMinBits, groupSize = defaultGroupSize;
};

MixedWeight weightOf(const Reader &reader, const IValue &entry, const std::string &name, const Form &form,
                     at::IntArrayRef shape) {
  const std::string what = "the entry of '" + name + "'";
  const std::vector<IValue> parts = reader.items(entry, what);
  reader.check(parts.size() == 3, what + " has " + std::to_string(parts.size()) + " parts, expected 3");
  const std::vector<IValue> range = reader.items(parts[1], what);
  reader.check(range.size() == 2, what + " has no range of two numbers");
  const double min = reader.numberOf(range[0], what), max = reader.numberOf(range[1], what);
  if (!form.packed)
    return packMixed(reader.tensorOf(parts[0], what), reader.tensorOf(parts[2], what), min, max, shape);
  UpstreamWeight planes{{}, reader.tensorOf(parts[2], what), min, max};
  for (const IValue &level : reader.items(parts[0], what))
    planes.levels.push_back(level.isNone() ? Tensor() : reader.tensorOf(level, what));
  return fromUpstream(planes, form.minBits, form.order, shape, form.groupSize);
}

} // namespace

void diffq::writeUpstreamState(const std::string &path, const DiffQuantizer &quantizer, PlaneOrder order) {
  const QuantizedState state = quantizer.getQuantizedState();
  Dictionary meta = dictionary(), result = dictionary();
  meta.insert("init_kwargs", arguments(path, quantizer.options));
  meta.insert("klass", className);
  meta.insert("packed", true);
  meta.insert("torch_pack", order == PlaneOrder::Strided);
  const int64_t minBits = integerBits(path, "min_bits", quantizer.options.min_bits());
  auto quantized = list();
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    if (!entry.boundTo)
      quantized.push_back(packedEntry(path, entry.name, quantizer.packed(entry.name), minBits, order));
  result.insert("quantized", quantized);
  result.insert("float16", tensorsOf(state, quantizer.float16Names()));
  result.insert("others", tensorsOf(state, quantizer.otherNames()));
  result.insert("meta", meta);
  writePickle(path, result, {className});
}

void diffq::readUpstreamState(const std::string &path, DiffQuantizer &quantizer) {
  const Reader reader(path);
  const Dictionary file = reader.dictionaryOf(readPickle(path, expected, {className}), "it");
  const Dictionary meta = reader.dictionaryOf(reader.at(file, "meta"), "'meta'");
  const Dictionary options = reader.dictionaryOf(reader.at(meta, "init_kwargs"), "'init_kwargs'");
  Form form;
  form.packed = reader.boolOf(reader.at(meta, "packed"), "'packed'");
  form.order = reader.boolOf(reader.at(meta, "torch_pack"), "'torch_pack'") ? PlaneOrder::Strided : PlaneOrder::Lines;
  form.minBits = reader.integerOf(options, "min_bits", defaultMinBits);
  form.groupSize = reader.integerOf(options, "group_size", defaultGroupSize);
  TORCH_CHECK(form.groupSize == quantizer.options.group_size(), path, ": has groups of ", form.groupSize,
              ", this quantizer has groups of ", quantizer.options.group_size());

  // What the file does not say, as the model has it now.
  QuantizedState state = quantizer.getQuantizedState();
  std::vector<const QuantizedParameter *> entries;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    if (!entry.boundTo)
      entries.push_back(&entry);
  const std::vector<IValue> quantized = reader.items(file, "quantized", entries.size());
  for (size_t index = 0; index < entries.size(); ++index) {
    const QuantizedParameter &entry = *entries[index];
    try {
      const MixedWeight weight = weightOf(reader, quantized[index], entry.name, form, entry.parameter.sizes());
      state.tensors[entry.name + ".codes"] = weight.codes;
      state.tensors[entry.name + ".scales"] = weight.scales;
    } catch (const c10::Error &error) {
      TORCH_CHECK(false, path, ": the entry of '", entry.name, "' does not fit: ", error.what_without_backtrace());
    }
  }
  const auto keep = [&](const char *key, const std::vector<std::string> &names) {
    const std::vector<IValue> values = reader.items(file, key, names.size());
    for (size_t index = 0; index < names.size(); ++index)
      state.tensors[names[index]] = reader.tensorOf(values[index], "the entry of '" + names[index] + "'");
  };
  keep("float16", quantizer.float16Names());
  keep("others", quantizer.otherNames());
  quantizer.restoreQuantizedState(state);
}
