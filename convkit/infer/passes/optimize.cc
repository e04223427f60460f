#include "convkit/graph/edit.h"
#include "convkit/infer/passes/passes.h"

namespace convkit::infer {

int64_t optimize(graph::Graph& graph) {
  int64_t changes = graph::remove_dead(graph);
  changes += remove_identities(graph);
  changes += fold_constants(graph);
  changes += fuse_functions(graph);
  changes += fuse_layer_norm(graph);
  changes += sink_transposes(graph);
  changes += merge_transposes(graph);
  changes += fold_pads(graph);
  changes += gemm_to_conv(graph);
  changes += fold_affine(graph);
  changes += fuse_residuals(graph);
  changes += fuse_activations(graph);
  return changes;
}

}  // namespace convkit::infer
