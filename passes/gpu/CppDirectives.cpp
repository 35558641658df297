// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/ToEmitC.h"

#include <optional>

using namespace mlir;
using namespace bq;

static bool isPragma(Operation &op) {
  auto verbatim = dyn_cast<emitc::VerbatimOp>(op);
  return verbatim && verbatim.getValue().starts_with("#pragma");
}

void bq::placeLoopPragmas(emitc::FuncOp function) {
  // The conversion of loops keeps what stands at the start of their bodies.
  function.walk([](emitc::ForOp loop) {
    for (Operation &op : *loop.getBody())
      if (isPragma(op)) {
        op.moveBefore(loop);
        return;
      }
  });
}

namespace {

bool isBehindPragma(Operation &op) { return op.getPrevNode() && isPragma(*op.getPrevNode()); }

class LineDirectives {
public:
  void visit(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      // These print nothing of their own.
      if (isa<emitc::LiteralOp, emitc::YieldOp>(op))
        continue;
      mark(op);
      count();
      if (isa<emitc::ForOp, emitc::IfOp>(op))
        for (Region &region : op.getRegions())
          if (!region.empty()) {
            visit(region.front());
            count();
          }
    }
  }

private:
  void mark(Operation &op) {
    auto place = op.getLoc()->findInstanceOf<FileLineColLoc>();
    if (!place)
      return;
    unsigned line = place.getLine();
    // Ahead of a pragma goes the line that makes its loop's right.
    if (isPragma(op) && line > 1)
      --line;
    // Where an op has become many statements only the first is marked, and nothing goes between a pragma and its loop.
    bool isMarked = line == last || line == next || isBehindPragma(op);
    last = line;
    if (isMarked)
      return;
    OpBuilder b(&op);
    emitc::VerbatimOp::create(b, op.getLoc(), ("#line " + Twine(line) + " \"kernel.mlir\"").str());
    next = line;
  }

  /// A line of C++ has been printed.
  void count() {
    if (next)
      ++*next;
  }

  std::optional<unsigned> last, next;
};

} // namespace

void bq::placeLineDirectives(emitc::FuncOp function) { LineDirectives().visit(function.getBody().front()); }
