/* Runs an ONNX net for pictures of 1×28×28 on zeros, in C, and prints what comes out. */
#include <stdio.h>

#include "convkit/c_api.h"

int main(int argc, char** argv) {
  static float pixels[28 * 28];
  convkit_tensor x = {CONVKIT_FLOAT32, 4, {1, 1, 28, 28}, pixels};
  convkit_tensor y;
  convkit_net* net;
  int i;
  if (argc != 2) {
    fprintf(stderr, "usage: run_net_c model.onnx\n");
    return 2;
  }
  net = convkit_load(argv[1]);
  if (net == NULL || convkit_run(net, &x, 1, &y, 1) != 0) {
    fprintf(stderr, "%s\n", convkit_last_error());
    convkit_free(net);
    return 1;
  }
  printf("%s has %d axes:", convkit_output_name(net, 0), (int)y.rank);
  for (i = 0; i < y.shape[y.rank - 1]; ++i) printf(" %.3f", ((const float*)y.data)[i]);
  printf("\n");
  convkit_free_tensor(&y);
  convkit_free(net);
  return 0;
}
